"""Follow one face from frame to frame, each frame answered before the next one is seen."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.face import align
from dfer.pipeline.face.align import SIGMA_S, smooth
from dfer.pipeline.face.detect import Detection, detect, detect_near, searches_closer
from dfer.pipeline.face.face_region import FaceRegion
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
        face = self._follow(frame) if self._is_there(seconds) else self._begin(frame)
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

    def _is_there(self, seconds: float) -> bool:
        """Whether a face was found not long ago."""
        return bool(self._anchors) and seconds - self._anchors[-1][0] < PATIENCE

    def _begin(self, frame: np.ndarray) -> Detection | None:
        """Choose a face to follow."""
        self._anchors.clear()
        found = detect(frame, self._models.landmarker, self._config)
        self._face = max((face for face in found if face.confident), key=weigh, default=None)
        return self._face

    def _follow(self, frame: np.ndarray) -> Detection | None:
        """Find the face that is followed; next to a larger one it may be too small for the first look."""
        known, landmarker, config = self._face, self._models.landmarker, self._config
        found = self._nearest(detect(frame, landmarker, config, [known]))
        if found is None and searches_closer(config):
            found = self._nearest(detect_near(frame, landmarker, config, known.box))
        self._face = found or known
        return found

    def _nearest(self, faces: list[Detection]) -> Detection | None:
        """The face that the followed one can have become."""
        possible = [face for face in faces if np.isfinite(link_cost(self._face, face))]
        return min(possible, key=lambda face: link_cost(self._face, face), default=None)

    def _transform(self, landmarks: np.ndarray, box: np.ndarray, seconds: float) -> np.ndarray:
        """The transform (2, 3) from frame to crop."""
        config = self._config
        self._anchors.append((seconds, align.find_anchors(landmarks[None], box[None], config.align)[0]))
        while seconds - self._anchors[0][0] > 3 * SIGMA_S:
            self._anchors.popleft()
        times, anchors = (np.array(values) for values in zip(*self._anchors, strict=True))
        smoothed = smooth(anchors, times, np.zeros(len(times)))[-1]
        return align.estimate_similarity(smoothed, config.align, config.size, config.margin)
