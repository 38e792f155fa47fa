"""One person's face in every sampled frame of a clip: detected and followed, or taken over from an earlier cache."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.face import detect, identity, track
from dfer.pipeline.face.patches import Patch
from dfer.pipeline.records import StoredFace
from dfer.pipeline.setup.models import ModelPaths
from dfer.pipeline.video import decode
from dfer.pipeline.video.sources import Source


@dataclass(frozen=True, kw_only=True)
class FoundFace:
    """A face through the m sampled frames. Coordinates are source pixels.

    positions: m frame numbers; detector, score: m entries, None where the box is carried over; boxes: (m, 4);
    landmarks: (m, 68, 2); patches: m; cuts: frames of 0…m−1 before which the picture changes at once;
    warning: what a user should know of it, None where nothing.
    """

    positions: list[int]
    detector: list[str | None]
    score: list[float | None]
    boxes: np.ndarray
    landmarks: np.ndarray
    patches: list[Patch]
    cuts: list[int]
    warning: str | None


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What is kept of a sampled frame when it is gone: its faces with their surroundings, and a thumbnail."""

    position: int
    faces: dict[detect.Detection, Patch]
    thumbnail: np.ndarray


def find_face(source: Source, config: ExtractConfig, models: ModelPaths) -> FoundFace | None:
    """Detect and follow the face of an open clip; None where no frame has one. Raises DecodeError."""
    sights = _look(source, config, models)
    cuts = track.find_cuts([sight.thumbnail for sight in sights])
    followed = track.follow([list(sight.faces) for sight in sights], cuts, _identity_check(sights, models))
    if not any(followed):
        return None
    found, boxes, patches = _fill_gaps(source, sights, followed, cuts, config)
    pairs = zip(patches, boxes, strict=True)
    return FoundFace(
        positions=[sight.position for sight in sights],
        detector=[face.detector if face else None for face in found],
        score=[face.score if face else None for face in found],
        boxes=boxes,
        landmarks=np.stack([patch.find_landmarks(box, models) for patch, box in pairs]),
        patches=patches,
        cuts=cuts,
        warning=_warn_of_others(sights, followed) if cuts else None,
    )


def take_over(source: Source, stored: StoredFace, config: ExtractConfig) -> FoundFace:
    """A face that an earlier extraction found, with the frames decoded again. Raises DecodeError."""
    patches, thumbnails = [], []
    for box, frame in zip(stored.boxes, source.read(stored.positions), strict=True):
        patches.append(Patch.around(frame, box, config))
        thumbnails.append(track.thumbnail(frame))
    return FoundFace(
        positions=stored.positions,
        detector=stored.detector,
        score=stored.score,
        boxes=stored.boxes,
        landmarks=stored.landmarks,
        patches=patches,
        cuts=track.find_cuts(thumbnails),
        warning=stored.warning,
    )


def _look(source: Source, config: ExtractConfig, models: ModelPaths) -> list[Sight]:
    """Detect the faces of every sampled frame."""
    positions = decode.sample_positions(source.facts.frames, config.frames)
    sights: list[Sight] = []
    found: list[detect.Detection] = []
    for position, frame in zip(positions, source.read(positions), strict=True):
        found = detect.detect(frame, models.landmarker, config, found)
        patches = {face: Patch.around(frame, face.box, config) for face in found}
        sights.append(Sight(position=position, faces=patches, thumbnail=track.thumbnail(frame)))
    return sights


def _identity_check(
    sights: Sequence[Sight], models: ModelPaths
) -> Callable[[int, detect.Detection, int, detect.Detection], bool]:
    """Whether two faces of these frames are one person; each is described at most once."""

    @functools.cache
    def describe(t: int, face: detect.Detection) -> np.ndarray:
        return sights[t].faces[face].describe(face.box, models)

    return lambda s, a, t, b: identity.is_same_person(describe(s, a), describe(t, b))


def _fill_gaps(
    source: Source,
    sights: Sequence[Sight],
    followed: Sequence[detect.Detection | None],
    cuts: Sequence[int],
    config: ExtractConfig,
) -> tuple[list[detect.Detection | None], np.ndarray, list[Patch]]:
    """A box (m, 4) and a patch for every frame. Where the face was not found it is tracked from the nearest frame
    in which it was, else its box is carried over; only these frames are decoded a second time."""
    found = list(followed)
    boxes = track.carry_boxes(followed)
    patches = [sight.faces.get(face) for sight, face in zip(sights, followed, strict=True)]
    known = [t for t, face in enumerate(followed) if face]
    gaps = [t for t, face in enumerate(followed) if not face]
    for t, frame in zip(gaps, source.read([sights[t].position for t in gaps]), strict=True):
        nearest = min(known, key=lambda k: abs(k - t))
        if not track.cut_between(nearest, t, cuts):
            found[t] = patches[nearest].track(boxes[nearest], frame)
        if found[t]:
            boxes[t] = found[t].box
        patches[t] = Patch.around(frame, boxes[t], config)
    # As exact as the cache keeps them, so that crops made again from it are the same.
    return found, boxes.astype(np.float32).astype(float), patches


def _warn_of_others(sights: Sequence[Sight], followed: Sequence[detect.Detection | None]) -> str | None:
    """Say so where a cut leads to somebody else for a good part of the clip."""
    left = [[] if face else list(sight.faces) for sight, face in zip(sights, followed, strict=True)]
    others = sum(face is not None for face in track.follow(left))
    if 8 * others < len(sights):
        return None
    return f"{others} of {len(sights)} frames show another person, after or before a cut"
