"""A landmark cache to a trained network: CNN, key-point graph, region fusion, temporal transformer.

From Python: `load(run).predict(paths)`. Names are imported at their first use, so importing this costs nothing.
"""

from typing import TYPE_CHECKING

from dfer.schemas.support.lazy_names import lazy_names

if TYPE_CHECKING:
    from dfer.train.use.extraction import Watch
    from dfer.train.use.predict import Prediction, Predictor, load

__all__ = ["Prediction", "Predictor", "Watch", "load"]
__getattr__ = lazy_names(
    __name__,
    {
        "Prediction": "dfer.train.use.predict",
        "Predictor": "dfer.train.use.predict",
        "Watch": "dfer.train.use.extraction",
        "load": "dfer.train.use.predict",
    },
)
