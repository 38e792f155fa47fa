"""Raw clips to a landmark cache: decode, find and track one face, 68 landmarks, 18 key-points, aligned crops.

From Python: `extract_clip(path)`. Names are imported at their first use, so importing this package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfer.pipeline.config import ExtractConfig
    from dfer.pipeline.one_clip import extract_clip

__all__ = ["ExtractConfig", "extract_clip"]
MODULES = {
    "ExtractConfig": "dfer.pipeline.config",
    "extract_clip": "dfer.pipeline.one_clip",
}


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(MODULES[name]), name)
