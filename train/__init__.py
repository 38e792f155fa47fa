"""A landmark cache to a trained network: CNN, key-point graph, region fusion, temporal transformer.

From Python: `load(run).predict(paths)`, `LandmarkDataset(cache)`. Names are imported at their first
use, so importing this costs nothing.
"""

from typing import TYPE_CHECKING

from dfer.schemas.support.lazy_names import lazy_names

if TYPE_CHECKING:
    from dfer.train.data.landmark_dataset import LandmarkDataset
    from dfer.train.use.extraction import Watch
    from dfer.train.use.over_time.windows import Windows
    from dfer.train.use.predict import Predictor, load
    from dfer.train.use.prediction import Prediction

__all__ = ["LandmarkDataset", "Prediction", "Predictor", "Watch", "Windows", "load"]
__getattr__ = lazy_names(
    __name__,
    {
        "LandmarkDataset": "dfer.train.data.landmark_dataset",
        "Prediction": "dfer.train.use.prediction",
        "Predictor": "dfer.train.use.predict",
        "Watch": "dfer.train.use.extraction",
        "Windows": "dfer.train.use.over_time.windows",
        "load": "dfer.train.use.predict",
    },
)
