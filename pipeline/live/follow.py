"""Follow one face from frame to frame, each frame answered before the next one is seen."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.face import align
from dfer.pipeline.face.detect import Detection, detect
from dfer.pipeline.face.face_region import FaceRegion
from dfer.pipeline.face.smoothing import SIGMA_S, smooth
from dfer.pipeline.face.track import link_cost, weigh
from dfer.pipeline.setup.models import ModelPaths
from dfer.schemas.keypoints import KeypointSet

PATIENCE = 1.0  # seconds without the face, after which another one may take its place


@dataclass(frozen=True, kw_only=True)
class LiveFace:
    """A face in one frame. Coordinates are pixels of the frame unless stated otherwise.

    seconds: since the stream's first frame
    box: (4,) x0, y0, x1, y1
    keypoints: (K, 2)
    crop: (s, s, 3) uint8, RGB
    crop_landmarks: (68, 2) crop pixels
    crop_keypoints: (K, 2) crop pixels
    blendshapes: (52,) float32, 0–1, NaN where MediaPipe sees no face; None unless asked for
    """

    seconds: float
    box: np.ndarray
    keypoints: np.ndarray
    crop: np.ndarray
    crop_landmarks: np.ndarray
    crop_keypoints: np.ndarray
    blendshapes: np.ndarray | None


class FaceFollower:
    """Finds one face in each frame: the one that was there before, else the heaviest (`track.weigh`).

    Crops are cut as those of a cache, but smoothed with the frames before only.
    """

    def __init__(self, config: ExtractConfig, models: ModelPaths, keypoints: KeypointSet) -> None:
        self._config, self._models, self._keypoints = config, models, keypoints
        self._face: Detection | None = None
        self._anchors: deque[tuple[float, np.ndarray]] = deque()

    def find(self, frame: np.ndarray, seconds: float) -> LiveFace | None:
        """Find the face in the next frame.

        frame: (H, W, 3) uint8, RGB
        seconds: when it was shown, later than the frame before
        """
        config, models = self._config, self._models
        face = self._choose(
            detect(frame, models.landmarker, config, [self._face] if self._face else []), seconds
        )
        if face is None:
            return None
        box = np.array(face.box)
        region = FaceRegion.around(frame, box, config)
        landmarks = region.find_landmarks(box, face.turns, models)
        transform = self._transform(landmarks, box, seconds)
        keypoints = self._keypoints.select(landmarks[None])[0]
        scores = region.expression_scores(box, face.turns, models) if config.blendshapes else None
        return LiveFace(
            seconds=seconds,
            box=box,
            keypoints=keypoints,
            crop=region.crop_pixels(transform, config.size),
            crop_landmarks=align.apply_transform(landmarks, transform),
            crop_keypoints=align.apply_transform(keypoints, transform),
            blendshapes=scores,
        )

    def _choose(self, found: list[Detection], seconds: float) -> Detection | None:
        known = self._face
        if known and self._anchors and seconds - self._anchors[-1][0] < PATIENCE:
            near = [face for face in found if np.isfinite(link_cost(known, face))]
            chosen = min(near, key=lambda face: link_cost(known, face), default=None)
        else:
            self._anchors.clear()
            chosen = max((face for face in found if face.confident), key=weigh, default=None)
        self._face = chosen or known
        return chosen

    def _transform(self, landmarks: np.ndarray, box: np.ndarray, seconds: float) -> np.ndarray:
        """The transform (2, 3) from frame to crop."""
        config = self._config
        self._anchors.append((seconds, align.find_anchors(landmarks[None], box[None], config.align)[0]))
        while seconds - self._anchors[0][0] > 3 * SIGMA_S:
            self._anchors.popleft()
        times, anchors = (np.array(values) for values in zip(*self._anchors, strict=True))
        smoothed = smooth(anchors, times, np.zeros(len(times)))[-1]
        return align.estimate_similarity(smoothed, config.align, config.size, config.margin)
