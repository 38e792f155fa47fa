"""A landmark cache to a trained network: CNN, key-point graph, region fusion, temporal transformer.

From Python: `load(run).predict(paths)`. Names are imported at their first use, so importing this costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfer.train.use.extraction import Watch
    from dfer.train.use.predict import Prediction, Predictor, load

__all__ = ["Prediction", "Predictor", "Watch", "load"]
MODULES = {
    "Prediction": "dfer.train.use.predict",
    "Predictor": "dfer.train.use.predict",
    "Watch": "dfer.train.use.extraction",
    "load": "dfer.train.use.predict",
}


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(MODULES[name]), name)
