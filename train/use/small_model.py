"""The small model that comes with the package: from expression scores and landmarks to eight expressions, with numpy.

A perceptron with one hidden layer looks at one frame: the logits of MediaPipe's 52 expression scores and dlib's 68
points, moved, turned and scaled so that all faces lie alike. A clip's answer is the normalised exponential of the
mean of its frames' log probabilities. `tests/benchmarks/small_model.py` trains and measures it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from dfer.schemas.keypoints import DLIB18
from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import Pool
from dfer.train.data.landmark_features import feature_count, frame_features, read_frames

if TYPE_CHECKING:
    from dfer.pipeline.live.follow import LiveFace

FILE = Path(__file__).with_name("small_model.safetensors")
IMAGE_LEFT_EYE, IMAGE_RIGHT_EYE = slice(36, 42), slice(42, 48)
WINDOW = ("window", "first_frame", "end_frame")
TENSORS = ("mean", "deviation", "hidden_weights", "hidden_bias", "output_weights", "output_bias", "shares")


@dataclass(frozen=True, kw_only=True)
class SmallModel:
    """A model for `train predict`: class probabilities from a cache's landmark tables.

    labels: the C classes
    mean, deviation: (188,) of the features of the stills that it was trained on
    hidden_weights: (H, 188); hidden_bias: (H,); output_weights: (C, H); output_bias: (C,)
    shares: (C,) the classes' shares among these stills
    about: what it was trained on and how, the date, and measured figures
    name: what messages call it
    """

    labels: tuple[str, ...]
    mean: np.ndarray
    deviation: np.ndarray
    hidden_weights: np.ndarray
    hidden_bias: np.ndarray
    output_weights: np.ndarray
    output_bias: np.ndarray
    shares: np.ndarray
    about: Mapping[str, Any]
    name: str = "the small model"

    keypoints = DLIB18
    num_frames = 16  # enough of a window; of a clip it takes all
    needs_faces = False  # it reads landmark tables, no crops

    @property
    def extraction(self) -> Mapping[str, Any]:
        """The settings that the stills which it was trained on were extracted with, as in `cache.json`."""
        return self.about["extraction"]

    def probabilities(self, pool: Pool, clips: pl.DataFrame, on_done: Callable[[int], None]) -> np.ndarray:
        """As `Model.probabilities`, each row as of `clip_probabilities`.

        Raises UserError if a cache has no expression scores, or its landmark tables are damaged.
        """
        lacking = pool.without_expressions
        if lacking:
            raise UserError(
                f"{lacking[0]} has no expression scores, which {self.name} needs; give the videos themselves, or a "
                "cache that was extracted with --blendshapes"
            )
        found = np.empty((len(clips), len(self.labels)))
        whole = _with_windows(clips)
        for frames in read_frames(pool, whole, scores=True):
            parts = (
                np.split(each, frames.starts[1:]) for each in (frames.scores, frames.points, frames.found)
            )
            for place, part in zip(frames.clips, zip(*parts, strict=True), strict=True):
                windows = whole.row(place, named=True)
                for at, first, end in zip(*(windows[name] for name in WINDOW), strict=True):
                    found[at] = self.clip_probabilities(*(each[first:end] for each in part))
                on_done(len(windows["window"]))
        return found

    def probabilities_of(self, faces: Sequence["LiveFace"]) -> np.ndarray:
        """As `Model.probabilities_of`."""
        scores, points = (
            np.stack([getattr(face, name) for face in faces]) for name in ("blendshapes", "crop_landmarks")
        )
        return self.clip_probabilities(scores, points, np.ones(len(faces), bool))

    def clip_probabilities(
        self, scores: np.ndarray, landmarks: np.ndarray, detected: np.ndarray
    ) -> np.ndarray:
        """Predict one clip.

        scores: (frames, 52) expression scores, 0–1, NaN where MediaPipe saw no face
        landmarks: (frames, 68, 2), pixels; place, size and tilt of the face do not matter
        detected: (frames,) bool, whether a face was found

        Returns (C,) float64, sum 1. Frames without a face or scores are left out. If none is left it is `shares`, so
        that the answer is the most frequent class.
        """
        seen = np.asarray(detected, bool) & ~np.isnan(scores[:, 0])
        if not seen.any():
            return self.shares / self.shares.sum()
        return softmax(self.log_probabilities(inputs(scores[seen], landmarks[seen])).mean(0))

    def log_probabilities(self, features: np.ndarray) -> np.ndarray:
        """Log probabilities (frames, C) of frames with these `inputs` (frames, 188)."""
        standardised = (features - self.mean) / self.deviation
        hidden = np.maximum(standardised @ self.hidden_weights.T + self.hidden_bias, 0)
        return np.log(softmax(hidden @ self.output_weights.T + self.output_bias))


def _with_windows(clips: pl.DataFrame) -> pl.DataFrame:
    """One row a clip with lists of its windows: their places in the table, and their frames as `Model.probabilities`
    takes them, all frames where none are given.

    clips: as in `Model.probabilities`
    """
    if "first_frame" not in clips.columns:
        clips = clips.with_columns(first_frame=pl.lit(0), end_frame=pl.lit(None, pl.Int64))
    keys = ("cache", "shard", "stored_id")
    return clips.with_row_index("window").group_by(*keys, maintain_order=True).agg(*WINDOW)


def softmax(values: np.ndarray) -> np.ndarray:
    """Positive numbers in proportion to exp(values) that sum to 1 over the last axis."""
    shares = np.exp(values - values.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def inputs(scores: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """What the perceptron sees of frames: (frames, 188) float32, logits of the scores, then the upright points.

    scores: (frames, 52), 0–1; landmarks: (frames, 68, 2), pixels
    """
    return frame_features(upright(landmarks), 1, scores)


def upright(landmarks: np.ndarray) -> np.ndarray:
    """Move, turn and scale landmarks (frames, 68, 2) so that margin, alignment and crop size do not matter.

    Then their mean is 0, the line through the middle of both eyes is level, and the mean square of all numbers is 1.
    """
    eyes = landmarks[:, IMAGE_RIGHT_EYE].mean(1) - landmarks[:, IMAGE_LEFT_EYE].mean(1)
    angle = np.arctan2(eyes[:, 1], eyes[:, 0])[:, None]
    x, y = np.moveaxis(landmarks - landmarks.mean(1, keepdims=True), -1, 0)
    turned = np.stack([np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x], axis=-1)
    return turned / np.sqrt((turned**2).mean((1, 2), keepdims=True))


def default_model() -> SmallModel:
    """The model that comes with the package. Raises UserError if its file is missing or damaged."""
    return read_model(FILE, "install this package again")


def read_model(path: Path, advice: str = "make it again with tests/benchmarks/small_model.py") -> SmallModel:
    """Read a file of `as_bytes`, without running any code in it.

    advice: what to do about a damaged one

    Raises UserError.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})["about"])
            values = {name: file.get_tensor(name).astype(np.float64) for name in TENSORS}
        labels = tuple(about["labels"])
        _require_shapes(values, len(labels))
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{path} is missing or damaged ({reason}); {advice}") from None
    return SmallModel(labels=labels, about=about, **values)


def as_bytes(model: SmallModel) -> bytes:
    """A model as a safetensors file: numbers as float16, `labels` and `about` as JSON in its header."""
    from safetensors.numpy import save

    tensors = {name: getattr(model, name).astype(np.float16) for name in TENSORS}
    return save(tensors, {"about": json.dumps({**model.about, "labels": model.labels}, ensure_ascii=False)})


def _require_shapes(values: Mapping[str, np.ndarray], classes: int) -> None:
    """Raise ValueError unless the numbers are finite and fit each other."""
    units, features = len(values["hidden_bias"]), feature_count(scores=True)
    shapes = ((features,), (features,), (units, features), (units,), (classes, units), (classes,), (classes,))
    for name, shape in zip(TENSORS, shapes, strict=True):
        if values[name].shape != shape:
            raise ValueError(f"{name} has the shape {values[name].shape}, expected {shape}")
        if not np.isfinite(values[name]).all():
            raise ValueError(f"{name} has a value that is NaN or Inf")
