"""Raw clips to a landmark cache: decode, find and track one face, 68 landmarks, 18 key-points, aligned crops.

From Python: `extract_clip(path)`, `open_cache(path)`. Names are imported at their first use, so
importing this package costs nothing.
"""

from typing import TYPE_CHECKING

from dfer.schemas.support.lazy_names import lazy_names

if TYPE_CHECKING:
    from dfer.pipeline.cache.open_cache import OpenCache, open_cache
    from dfer.pipeline.config import ExtractConfig
    from dfer.pipeline.live.stream import FaceStream, Seen
    from dfer.pipeline.one_clip import extract_clip

__all__ = ["ExtractConfig", "FaceStream", "OpenCache", "Seen", "extract_clip", "open_cache"]
__getattr__ = lazy_names(
    __name__,
    {
        "ExtractConfig": "dfer.pipeline.config",
        "FaceStream": "dfer.pipeline.live.stream",
        "OpenCache": "dfer.pipeline.cache.open_cache",
        "Seen": "dfer.pipeline.live.stream",
        "extract_clip": "dfer.pipeline.one_clip",
        "open_cache": "dfer.pipeline.cache.open_cache",
    },
)
