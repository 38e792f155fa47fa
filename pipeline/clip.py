"""The whole way of one clip: decode, find and follow a face, 68 landmarks, 18 key-points, aligned crops."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline import crops, decode, faces, following, identity, landmarks
from pipeline.config import ExtractConfig
from pipeline.models import ModelPaths
from pipeline.smoothing import smooth
from pipeline.sources import DecodeError, Source, SourceFacts
from schemas import cache
from schemas.keypoints import DLIB18


@dataclass(frozen=True, kw_only=True)
class Track:
    """One face through the m kept frames of a clip. Coordinates are source pixels unless named otherwise.

    warning: what a user should know of it, None where nothing.
    source_frame: (m,) int; time_s, detector, score: m entries, None where unknown or carried over;
    box: (m, 4); landmarks: (m, 68, 2); keypoints: (m, 18, 2); transform: (m, 2, 3) source to crop;
    crop_keypoints: (m, 18, 2) crop pixels; crops: m JPEGs.
    """

    warning: str | None
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
    warnings = [text for text in (facts.warning, track.warning) if text]
    facts = dataclasses.replace(facts, warning="; ".join(warnings) or None)
    return ExtractedClip(status=cache.OK, facts=facts, fingerprint=fingerprint, track=track)


def warm_up(config: ExtractConfig, models: ModelPaths) -> None:
    """Load the models into this process, so that no clip's time includes it. Raises UserError."""
    blank = np.zeros((96, 96, 3), np.uint8)
    faces.detect(blank, models.landmarker, config)
    landmarks.find_landmarks(blank, np.array([16, 16, 80, 80]), models.predictor)


def _extract_track(source: Source, config: ExtractConfig, models: ModelPaths) -> Track | None:
    """The followed face of an open clip; None where no frame has one. Raises DecodeError."""
    sights = _look(source, config, models)
    cuts = following.find_cuts([sight.thumbnail for sight in sights])
    followed = following.follow(
        [list(sight.faces) for sight in sights], cuts, _identity_check(sights, models)
    )
    if not any(followed):
        return None
    warning = _warn_of_others(sights, followed) if cuts else None
    found, boxes, patches = _fill_gaps(source, sights, followed, cuts, config)
    points = np.stack([patch.find_landmarks(b, models) for patch, b in zip(patches, boxes, strict=True)])
    return _make_track(
        source, [s.position for s in sights], found, boxes, patches, points, cuts, config, warning
    )


def _warn_of_others(sights: Sequence["Sight"], followed: Sequence[faces.Detection | None]) -> str | None:
    """Say so where a cut leads to somebody else for a good part of the clip."""
    left = [[] if face else list(sight.faces) for sight, face in zip(sights, followed, strict=True)]
    others = sum(face is not None for face in following.follow(left))
    if 8 * others < len(sights):
        return None
    return f"{others} of {len(sights)} frames show another person, after or before a cut"


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What is kept of a sampled frame when it is gone: its faces with their surroundings, and a thumbnail."""

    position: int
    faces: dict[faces.Detection, "Patch"]
    thumbnail: np.ndarray


def _look(source: Source, config: ExtractConfig, models: ModelPaths) -> list[Sight]:
    """Detect the faces of every sampled frame."""
    positions = decode.sample_positions(source.facts.frames, config.frames)
    sights = []
    for position, frame in zip(positions, source.read(positions), strict=True):
        found = faces.detect(frame, models.landmarker, config)
        patches = {face: Patch.around(frame, face.box, config) for face in found}
        sights.append(Sight(position=position, faces=patches, thumbnail=following.thumbnail(frame)))
    return sights


def _identity_check(
    sights: Sequence[Sight], models: ModelPaths
) -> Callable[[int, faces.Detection, int, faces.Detection], bool]:
    """Whether two faces of these frames are one person; each is described at most once."""

    @functools.cache
    def describe(t: int, face: faces.Detection) -> np.ndarray:
        patch = sights[t].faces[face]
        box = np.array(face.box) - np.tile(patch.corner, 2)
        return identity.describe(patch.pixels, box, models.predictor, models.recogniser)

    return lambda s, a, t, b: identity.is_same_person(describe(s, a), describe(t, b))


def _fill_gaps(
    source: Source,
    sights: Sequence[Sight],
    followed: Sequence[faces.Detection | None],
    cuts: Sequence[int],
    config: ExtractConfig,
) -> tuple[list[faces.Detection | None], np.ndarray, list["Patch"]]:
    """A box (m, 4) and a patch for every frame. Where the face was not found it is tracked from the nearest frame
    in which it was, else its box is carried over; only these frames are decoded a second time."""
    found = list(followed)
    boxes = following.carry_boxes(followed)
    patches = [sight.faces.get(face) for sight, face in zip(sights, followed, strict=True)]
    known = [t for t, face in enumerate(followed) if face]
    gaps = [t for t, face in enumerate(followed) if not face]
    for t, frame in zip(gaps, source.read([sights[t].position for t in gaps]), strict=True):
        nearest = min(known, key=lambda k: abs(k - t))
        if not following.cut_between(nearest, t, cuts):
            found[t] = patches[nearest].track(boxes[nearest], frame)
        if found[t]:
            boxes[t] = found[t].box
        patches[t] = Patch.around(frame, boxes[t], config)
    # As exact as the cache keeps them, so that crops made again from it are the same.
    return found, boxes.astype(np.float32).astype(float), patches


def _make_track(
    source: Source,
    positions: list[int],
    found: Sequence[faces.Detection | None],
    boxes: np.ndarray,
    patches: Sequence["Patch"],
    points: np.ndarray,
    cuts: Sequence[int],
    config: ExtractConfig,
    warning: str | None,
) -> Track:
    """Cut the crops. Transforms are smoothed over time, between cuts; key-points are not, and follow exactly."""
    times = source.times(positions)
    seconds = np.array([p / 25 for p in positions] if None in times else times, float)
    runs = (
        np.searchsorted(cuts, np.arange(len(positions)), side="right") if cuts else np.zeros(len(positions))
    )
    anchors = smooth(crops.find_anchors(points, boxes, config.align), seconds, runs)
    transforms = np.stack([crops.fit(a, config.align, config.size, config.margin) for a in anchors])
    keypoints = DLIB18.select(points)
    return Track(
        warning=warning,
        source_frame=positions,
        time_s=times,
        detector=[face.detector if face else None for face in found],
        score=[face.score if face else None for face in found],
        box=boxes,
        landmarks=points,
        keypoints=keypoints,
        transform=transforms,
        crop_keypoints=np.stack([crops.carry(k, m) for k, m in zip(keypoints, transforms, strict=True)]),
        crops=[patch.crop(m, config) for patch, m in zip(patches, transforms, strict=True)],
    )


@dataclass(frozen=True, kw_only=True)
class Patch:
    """Part of a frame, kept when the frame is gone: pixels (h, w, 3) uint8 and its corner (x, y) in the frame."""

    pixels: np.ndarray
    corner: np.ndarray

    @classmethod
    def around(cls, frame: np.ndarray, box: Sequence[float], config: ExtractConfig) -> "Patch":
        """What a crop of the face in `box` can show, turned by any angle, as far as the frame goes."""
        x0, y0, x1, y1 = box
        reach = 0.95 * (1 + 2 * config.margin) * max(x1 - x0, y1 - y0)
        centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        limits = np.array(frame.shape[1::-1])
        low = np.clip(np.floor(centre - reach), 0, limits - 1).astype(int)
        high = np.clip(np.ceil(centre + reach), low + 1, limits).astype(int)
        return cls(pixels=frame[low[1] : high[1], low[0] : high[0]].copy(), corner=low)

    def find_landmarks(self, box: np.ndarray, models: ModelPaths) -> np.ndarray:
        """The 68 landmarks (68, 2) of the face in a box, both in pixels of the frame."""
        inside = box - np.tile(self.corner, 2)
        return landmarks.find_landmarks(self.pixels, inside, models.predictor) + self.corner

    def track(self, box: np.ndarray, frame: np.ndarray) -> faces.Detection | None:
        """The face of this patch's box in another frame of the same scene; None where it is lost."""
        x, y = self.corner
        height, width = self.pixels.shape[:2]
        there = frame[y : y + height, x : x + width]
        if there.shape != self.pixels.shape:
            return None  # a frame folder of mixed sizes
        found = following.track(self.pixels, box - np.tile(self.corner, 2), there)
        return found and dataclasses.replace(found, box=tuple(np.array(found.box) + np.tile(self.corner, 2)))

    def crop(self, transform: np.ndarray, config: ExtractConfig) -> bytes:
        """The JPEG of the crop under a transform (2, 3) from pixels of the frame."""
        import simplejpeg

        moved = transform.copy()
        moved[:, 2] += transform[:, :2] @ self.corner
        pixels = crops.warp(self.pixels, moved, config.size)
        return simplejpeg.encode_jpeg(
            pixels, quality=config.quality, colorspace="RGB", colorsubsampling="420"
        )
