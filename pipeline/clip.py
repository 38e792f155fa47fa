"""The whole way of one clip: decode, find and follow a face, 68 landmarks, 18 key-points, aligned crops."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline import crops, decode, faces, landmarks
from pipeline.config import ExtractConfig
from pipeline.models import ModelPaths
from pipeline.sources import DecodeError, Source, SourceFacts
from schemas import cache
from schemas.keypoints import DLIB18


@dataclass(frozen=True, kw_only=True)
class Track:
    """One face through the m kept frames of a clip. Coordinates are source pixels unless named otherwise.

    source_frame: (m,) int; time_s, detector, score: m entries, None where unknown or carried over;
    box: (m, 4); landmarks: (m, 68, 2); keypoints: (m, 18, 2); transform: (m, 2, 3) source to crop;
    crop_keypoints: (m, 18, 2) crop pixels; crops: m JPEGs.
    """

    source_frame: list[int]
    time_s: list[float | None]
    detector: list[str | None]
    score: list[float | None]
    box: np.ndarray
    landmarks: np.ndarray
    keypoints: np.ndarray
    transform: np.ndarray
    crop_keypoints: np.ndarray
    crops: list[bytes]


@dataclass(frozen=True, kw_only=True)
class ExtractedClip:
    """What became of a clip: its status (`schemas.cache`), the reason where it is not ok, and its track if it is."""

    status: str
    reason: str | None = None
    facts: SourceFacts | None = None
    fingerprint: str | None = None
    track: Track | None = None


def extract_clip(path: Path, config: ExtractConfig, models: ModelPaths) -> ExtractedClip:
    """Extract one clip, a video file or a frame folder. Its faults become its status, not exceptions.

    Raises UserError where the machine, not the clip, is at fault.
    """
    try:
        fingerprint = decode.fingerprint(path)
    except FileNotFoundError:
        return ExtractedClip(status=cache.UNDECODABLE, reason="the file is missing")
    except OSError as error:
        return ExtractedClip(status=cache.UNDECODABLE, reason=f"the file cannot be read: {error.strerror}")
    refused, facts = None, None
    try:
        for way in decode.ways_to_read(path):
            try:
                source = way()
                facts = facts or source.facts
                track = _extract_track(source, config, models)
            except DecodeError as error:
                refused = refused or error
                continue
            return _finished(track, source.facts, fingerprint)
    except DecodeError as error:
        refused = error
    return ExtractedClip(status=cache.UNDECODABLE, reason=str(refused), facts=facts, fingerprint=fingerprint)


def _finished(track: Track | None, facts: SourceFacts, fingerprint: str) -> ExtractedClip:
    if track is None:
        reason = "no face in any sampled frame"
        return ExtractedClip(status=cache.NO_FACE, reason=reason, facts=facts, fingerprint=fingerprint)
    return ExtractedClip(status=cache.OK, facts=facts, fingerprint=fingerprint, track=track)


def warm_up(config: ExtractConfig, models: ModelPaths) -> None:
    """Load the models into this process, so that no clip's time includes it. Raises UserError."""
    blank = np.zeros((96, 96, 3), np.uint8)
    faces.detect(blank, models.landmarker, config.min_score)
    landmarks.find_landmarks(blank, np.array([16, 16, 80, 80]), models.predictor)


def _extract_track(source: Source, config: ExtractConfig, models: ModelPaths) -> Track | None:
    """The followed face of an open clip; None where no frame has one. Raises DecodeError."""
    positions = decode.sample_positions(source.facts.frames, config.frames)
    reach = _patch_reach(config.margin)
    candidates: list[dict[faces.Detection, Patch]] = []
    for frame in source.read(positions):
        found = faces.detect(frame, models.landmarker, config.min_score)
        candidates.append({face: Patch.around(frame, face.box, reach) for face in found})
    followed = faces.follow([list(found) for found in candidates])
    if not any(followed):
        return None
    boxes = faces.carry_boxes(followed)
    patches = [found.get(face) for found, face in zip(candidates, followed, strict=True)]
    gaps = [t for t, patch in enumerate(patches) if patch is None]
    for t, frame in zip(gaps, source.read([positions[t] for t in gaps]), strict=True):
        patches[t] = Patch.around(frame, boxes[t], reach)
    points = np.stack(
        [patch.find_landmarks(box, models.predictor) for patch, box in zip(patches, boxes, strict=True)]
    )
    transforms = np.stack([crops.align(p, config.size, config.margin) for p in points])
    keypoints = DLIB18.select(points)
    return Track(
        source_frame=positions,
        time_s=source.times(positions),
        detector=[face.detector if face else None for face in followed],
        score=[face.score if face else None for face in followed],
        box=boxes,
        landmarks=points,
        keypoints=keypoints,
        transform=transforms,
        crop_keypoints=np.stack([crops.carry(k, m) for k, m in zip(keypoints, transforms, strict=True)]),
        crops=[patch.crop(m, config) for patch, m in zip(patches, transforms, strict=True)],
    )


def _patch_reach(margin: float) -> float:
    """How far from a face's centre its crop can reach, in sides of its box, rotated by any angle."""
    return 0.95 * (1 + 2 * margin)


@dataclass(frozen=True, kw_only=True)
class Patch:
    """Part of a frame, kept when the frame is gone: pixels (h, w, 3) uint8 and its corner (x, y) in the frame."""

    pixels: np.ndarray
    corner: np.ndarray

    @classmethod
    def around(cls, frame: np.ndarray, box: Sequence[float], reach: float) -> "Patch":
        """The square around a box, `reach` box sides from its centre each way, as far as the frame goes."""
        x0, y0, x1, y1 = box
        reach = reach * max(x1 - x0, y1 - y0)
        centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        limits = np.array(frame.shape[1::-1])
        low = np.clip(np.floor(centre - reach), 0, limits - 1).astype(int)
        high = np.clip(np.ceil(centre + reach), low + 1, limits).astype(int)
        return cls(pixels=frame[low[1] : high[1], low[0] : high[0]].copy(), corner=low)

    def find_landmarks(self, box: np.ndarray, predictor: Path) -> np.ndarray:
        """The 68 landmarks (68, 2) of the face in a box, both in pixels of the frame."""
        corner = self.corner
        return landmarks.find_landmarks(self.pixels, box - np.tile(corner, 2), predictor) + corner

    def crop(self, transform: np.ndarray, config: ExtractConfig) -> bytes:
        """The JPEG of the crop under a transform (2, 3) from pixels of the frame."""
        import simplejpeg

        moved = transform.copy()
        moved[:, 2] += transform[:, :2] @ self.corner
        pixels = crops.warp(self.pixels, moved, config.size)
        return simplejpeg.encode_jpeg(
            pixels, quality=config.quality, colorspace="RGB", colorsubsampling="420"
        )
