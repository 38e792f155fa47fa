"""Find one person's face in every sampled frame of a clip: detect and track it, or reuse an earlier cache's."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.face import track
from dfer.pipeline.face.detect import Detection, detect
from dfer.pipeline.face.face_region import FaceRegion
from dfer.pipeline.face.same_person import is_same_person
from dfer.pipeline.records import StoredFace
from dfer.pipeline.setup.models import ModelPaths
from dfer.pipeline.video.sampling import sample_positions
from dfer.pipeline.video.sources import Source


@dataclass(frozen=True, kw_only=True)
class FoundFace:
    """A face through the m sampled frames. Coordinates are source pixels.

    positions: m frame numbers
    detector, score: m entries, None where the face was not found and its box is interpolated
    boxes: (m, 4)
    landmarks: (m, 68, 2)
    regions: m
    cuts: frames of 0…m−1 before which there is a cut
    warning: what a user should know about it, None if nothing
    """

    positions: list[int]
    detector: list[str | None]
    score: list[float | None]
    boxes: np.ndarray
    landmarks: np.ndarray
    regions: list[FaceRegion]
    cuts: list[int]
    warning: str | None


@dataclass(frozen=True, kw_only=True)
class FrameFaces:
    """What is kept of a sampled frame: its number, its faces with the regions around them, and a thumbnail."""

    position: int
    regions: dict[Detection, FaceRegion]
    thumbnail: np.ndarray


def find_face(source: Source, config: ExtractConfig, models: ModelPaths) -> FoundFace | None:
    """Detect and track the face of an open clip; None where no frame has one. Raises DecodeError."""
    frames = _detect_faces(source, config, models)
    cuts = track.find_cuts([frame.thumbnail for frame in frames])
    tracked = track.track_face([list(frame.regions) for frame in frames], cuts, _same_person(frames, models))
    if not any(tracked):
        return None
    found, boxes, regions = _fill_gaps(source, frames, tracked, cuts, config)
    pairs = zip(regions, boxes, strict=True)
    return FoundFace(
        positions=[frame.position for frame in frames],
        detector=[face.detector if face else None for face in found],
        score=[face.score if face else None for face in found],
        boxes=boxes,
        landmarks=np.stack([region.find_landmarks(box, models) for region, box in pairs]),
        regions=regions,
        cuts=cuts,
        warning=_warn_of_others(frames, tracked) if cuts else None,
    )


def reuse_face(source: Source, stored: StoredFace, config: ExtractConfig) -> FoundFace:
    """Take the face that an earlier extraction found, and decode its frames again. Raises DecodeError."""
    regions, thumbnails = [], []
    for box, frame in zip(stored.boxes, source.read(stored.positions), strict=True):
        regions.append(FaceRegion.around(frame, box, config))
        thumbnails.append(track.thumbnail(frame))
    return FoundFace(
        positions=stored.positions,
        detector=stored.detector,
        score=stored.score,
        boxes=stored.boxes,
        landmarks=stored.landmarks,
        regions=regions,
        cuts=track.find_cuts(thumbnails),
        warning=stored.warning,
    )


def _detect_faces(source: Source, config: ExtractConfig, models: ModelPaths) -> list[FrameFaces]:
    """Detect the faces of every sampled frame."""
    positions = sample_positions(source.facts.frames, config.frames)
    frames: list[FrameFaces] = []
    faces: list[Detection] = []
    for position, pixels in zip(positions, source.read(positions), strict=True):
        faces = detect(pixels, models.landmarker, config, faces)
        regions = {face: FaceRegion.around(pixels, face.box, config) for face in faces}
        frames.append(FrameFaces(position=position, regions=regions, thumbnail=track.thumbnail(pixels)))
    return frames


def _same_person(
    frames: Sequence[FrameFaces], models: ModelPaths
) -> Callable[[int, Detection, int, Detection], bool]:
    """Return a function that compares two faces of these frames, and embeds each at most once."""

    @functools.cache
    def embed(t: int, face: Detection) -> np.ndarray:
        return frames[t].regions[face].embed(face.box, models)

    return lambda s, a, t, b: is_same_person(embed(s, a), embed(t, b))


def _fill_gaps(
    source: Source,
    frames: Sequence[FrameFaces],
    tracked: Sequence[Detection | None],
    cuts: Sequence[int],
    config: ExtractConfig,
) -> tuple[list[Detection | None], np.ndarray, list[FaceRegion]]:
    """Give every frame a box (m, 4) and a region.

    Where the face was not found, it is tracked from the nearest frame in which it was, or else its box is
    interpolated. Only such frames are decoded a second time.
    """
    found = list(tracked)
    boxes = track.interpolate_boxes(tracked)
    regions = [frame.regions.get(face) for frame, face in zip(frames, tracked, strict=True)]
    known = [t for t, face in enumerate(tracked) if face]
    gaps = [t for t, face in enumerate(tracked) if not face]
    for t, pixels in zip(gaps, source.read([frames[t].position for t in gaps]), strict=True):
        nearest = min(known, key=lambda k: abs(k - t))
        if not track.cut_between(nearest, t, cuts):
            found[t] = regions[nearest].correlation_track(boxes[nearest], pixels)
        if found[t]:
            boxes[t] = found[t].box
        regions[t] = FaceRegion.around(pixels, boxes[t], config)
    # Rounded as the cache stores them, so that crops made from a reused cache are the same.
    return found, boxes.astype(np.float32).astype(float), regions


def _warn_of_others(frames: Sequence[FrameFaces], tracked: Sequence[Detection | None]) -> str | None:
    """Warn where a cut leads to another person for a good part of the clip."""
    left = [[] if face else list(frame.regions) for frame, face in zip(frames, tracked, strict=True)]
    others = sum(face is not None for face in track.track_face(left))
    if 8 * others < len(frames):
        return None
    return f"{others} of {len(frames)} frames show another person, before or after a cut"
