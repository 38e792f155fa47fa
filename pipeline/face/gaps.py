"""Give a tracked person a box in the frames in which the face was not found: look again, track, or interpolate."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.face.cuts import cut_between
from dfer.pipeline.face.detect import Detection, detect_near, overlap, searches_closer, touch
from dfer.pipeline.face.face_region import FaceRegion, FrameFaces
from dfer.pipeline.face.track import (
    NEAR_LINK,
    Faces,
    Node,
    SamePerson,
    clearest,
    interpolate_boxes,
    link_cost,
)
from dfer.pipeline.setup.models import ModelPaths
from dfer.pipeline.video.sources import Source


def fill_gaps(
    source: Source,
    frames: Sequence[FrameFaces],
    tracked: Faces,
    cuts: Sequence[int],
    config: ExtractConfig,
    models: ModelPaths,
    same_person: SamePerson,
    further: bool,
) -> tuple[list[Detection | None], np.ndarray, list[FaceRegion]]:
    """Give every frame a box (m, 4) and a region.

    frames: a face that is found here is added to its frame, so that it is given to nobody else
    same_person: as for `track_people`; where several people are followed, it decides whose a face is
    further: whether it is a further person, who may come later or leave: tracked only between detections

    Where the face was not found, it is looked for where it should be, then tracked from the nearest frame in which it
    was found, or else its box is interpolated. Only such frames are decoded a second time.
    """
    several = config.people > 1
    found = list(tracked)
    boxes = interpolate_boxes(tracked)
    regions = [frame.regions.get(face) for frame, face in zip(frames, tracked, strict=True)]
    known = [t for t, face in enumerate(tracked) if face]
    gaps = [t for t, face in enumerate(tracked) if not face]
    for t, pixels in zip(gaps, source.read([frames[t].position for t in gaps]), strict=True):
        start = nearest(known, t)
        if not cut_between(start, t, cuts):
            seen = _look_again(pixels, frames[t], tracked[start], boxes[t], config, models)
            if seen and several and not _is_own(seen, pixels, t, frames, tracked, config, same_person):
                seen = None
            if not seen and (not further or known[0] < t < known[-1]):
                moved = regions[start].correlation_track(boxes[start], pixels)
                seen = moved and replace(moved, turns=tracked[start].turns)
                # The tracker easily passes to somebody who hides the person.
                if seen and several and any(touch(seen, face) for face in frames[t].regions):
                    seen = None
            found[t] = seen
        if found[t]:
            boxes[t] = found[t].box
        regions[t] = FaceRegion.around(pixels, boxes[t], config)
        if found[t]:
            frames[t].regions[found[t]] = regions[t]
    # Rounded as the cache stores them, so that crops made from a reused cache are the same.
    return found, boxes.astype(np.float32).astype(float), regions


def _look_again(
    pixels: np.ndarray,
    frame: FrameFaces,
    start: Detection,
    box: np.ndarray,
    config: ExtractConfig,
    models: ModelPaths,
) -> Detection | None:
    """Look for the face around the place where it should be: next to a larger face it may have been too small.

    start: the face in the nearest frame in which it was found

    Faces of the frame that the track passed by are other people's.
    """
    if not searches_closer(config):
        return None
    faces = [
        face
        for face in detect_near(pixels, models.landmarker, config, box)
        if np.isfinite(link_cost(start, face))
        and not any(overlap(face, other) > 0.1 for other in frame.regions)
    ]
    return min(faces, key=lambda face: link_cost(start, face), default=None)


def _is_own(
    face: Detection,
    pixels: np.ndarray,
    t: int,
    frames: Sequence[FrameFaces],
    tracked: Faces,
    config: ExtractConfig,
    same_person: SamePerson,
) -> bool:
    """Whether a face in a gap is the tracked person's: somebody else may be where this person was, or will be."""
    known: list[Node] = [(k, own) for k, own in enumerate(tracked) if own]
    near = sorted(known, key=lambda node: abs(node[0] - t))[:NEAR_LINK]
    frames[t].regions[face] = FaceRegion.around(pixels, face.box, config)  # where `same_person` looks it up
    own = same_person(clearest(near), [(t, face)], True)
    if not own:
        del frames[t].regions[face]
    return own


def nearest(numbers: Iterable[int], number: int) -> int:
    """Return the nearest of some frame numbers, the first of two equally near ones."""
    return min(numbers, key=lambda other: abs(other - number))
