"""Raw clips to a landmark cache: decode, find and track one face, 68 landmarks, 18 key-points, aligned crops.

From Python: `extract_clip(path)`. Names are imported at their first use, so importing this package costs nothing.
"""

from typing import TYPE_CHECKING

from dfer.schemas.support.lazy_names import lazy_names

if TYPE_CHECKING:
    from dfer.pipeline.config import ExtractConfig
    from dfer.pipeline.one_clip import extract_clip

__all__ = ["ExtractConfig", "extract_clip"]
__getattr__ = lazy_names(
    __name__,
    {
        "ExtractConfig": "dfer.pipeline.config",
        "extract_clip": "dfer.pipeline.one_clip",
    },
)
