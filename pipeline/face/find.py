"""Find people's faces in every sampled frame of a clip: detect and track them, or reuse those of a cache."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.face.align import count_turns, find_down
from dfer.pipeline.face.cuts import find_cuts, thumbnail
from dfer.pipeline.face.detect import (
    TRACKER,
    Detection,
    detect,
    detect_others,
    detect_thoroughly,
    searches_closer,
)
from dfer.pipeline.face.doubts import CLEAR_SCORE, CLEAR_SMALL_SCORE, best_score, describe_doubts, is_clear
from dfer.pipeline.face.enlarge import AS_IT_IS, View, choose_view, shown
from dfer.pipeline.face.face_region import FaceRegion, FrameFaces
from dfer.pipeline.face.gaps import fill_gaps, nearest
from dfer.pipeline.face.people import choose_people, comparison, warn_of_others
from dfer.pipeline.face.track import LONGEST_GAP, Faces, SamePerson, track_face, track_people
from dfer.pipeline.face.turned import TurnedSource, turn_boxes_back, turn_points_back
from dfer.pipeline.records import StoredFace
from dfer.pipeline.setup.models import ModelPaths
from dfer.pipeline.video.sampling import frames_to_keep, sample_positions
from dfer.pipeline.video.sources import Source

SEARCHED_FRAMES = 8  # of a clip without a confident face, searched thoroughly
CONFIRMED_BY = 5  # frames that are shown to MediaPipe's landmarker where a face is uncertain


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


def find_faces(source: Source, config: ExtractConfig, models: ModelPaths) -> list[FoundFace]:
    """Detect and track the people of an open clip, as many as the settings ask for. Raises DecodeError.

    Where the first search finds no clear face, some frames are searched for small and for turned faces.
    """
    view = choose_view(source.facts)
    source = shown(source, view)
    found = _track_faces(source, config, models, view)

    def is_sure(face: FoundFace) -> bool:
        return view != AS_IT_IS or is_clear(face.detector, face.score)

    if searches_closer(config) and not (found and is_sure(found[0])):
        found = _search_thoroughly(source, config, models, view, found)
        found = [face for face in found if is_sure(face) or _is_confirmed(face, models)]
    return [_with_doubts(face if view == AS_IT_IS else _as_in_source(face, view), view) for face in found]


def reuse_face(source: Source, stored: StoredFace, config: ExtractConfig) -> FoundFace:
    """Take the face that an earlier extraction found, and decode its frames again. Raises DecodeError."""
    view = choose_view(source.facts)
    regions, thumbnails = [], []
    for box, frame in zip(stored.boxes, shown(source, view).read(stored.positions), strict=True):
        regions.append(replace(FaceRegion.around(frame, view.boxes_in(box), config), view=view))
        thumbnails.append(thumbnail(frame))
    return FoundFace(
        positions=stored.positions,
        detector=stored.detector,
        score=stored.score,
        boxes=stored.boxes,
        landmarks=stored.landmarks,
        regions=regions,
        cuts=find_cuts(thumbnails),
        warning=stored.warning,
    )


def _with_doubts(found: FoundFace, view: View) -> FoundFace:
    doubts = describe_doubts(found.detector, found.score, found.boxes, found.landmarks, view)
    return replace(found, warning="; ".join([*doubts, *filter(None, [found.warning])]) or None)


def _as_in_source(found: FoundFace, view: View) -> FoundFace:
    """Map a face that was found in a view to source pixels, rounded as in `fill_gaps`."""
    boxes, landmarks = view.boxes_out(found.boxes), view.points_out(found.landmarks)
    return replace(
        found,
        boxes=boxes.astype(np.float32).astype(float),
        landmarks=landmarks.astype(np.float32).astype(float),
        regions=[replace(region, view=view) for region in found.regions],
    )


def _track_faces(
    source: Source,
    config: ExtractConfig,
    models: ModelPaths,
    view: View,
    seeds: dict[int, list[Detection]] | None = None,
) -> list[FoundFace]:
    """Detect and track the people of an open clip.

    view: as which `source` shows the frames
    seeds: faces that were found before, by frame number; they guide the search
    """
    frames = _detect_faces(source, config, models, view, seeds or {})
    cuts = find_cuts([frame.thumbnail for frame in frames])
    same_person = comparison(frames, models)
    longest_gap = np.inf if config.only_heaviest else LONGEST_GAP
    tracks = track_people([frame.faces for frame in frames], cuts, same_person, longest_gap)
    alone: Faces = []
    if not config.only_heaviest:
        alone = track_face([frame.first_look for frame in frames], cuts, same_person)
    clear_score = CLEAR_SCORE if view == AS_IT_IS else CLEAR_SMALL_SCORE
    size = source.facts.width, source.facts.height
    people = choose_people(tracks, config, same_person, clear_score, size, alone)
    return [
        _follow(source, frames, faces, cuts, config, models, same_person, further=number > 0)
        for number, faces in enumerate(people)
    ]


def _follow(
    source: Source,
    frames: Sequence[FrameFaces],
    tracked: Faces,
    cuts: list[int],
    config: ExtractConfig,
    models: ModelPaths,
    same_person: SamePerson,
    further: bool,
) -> FoundFace:
    """Follow one person through all frames, and find the landmarks. same_person, further: as for `fill_gaps`"""
    found, boxes, regions = fill_gaps(source, frames, tracked, cuts, config, models, same_person, further)
    known = [t for t, face in enumerate(found) if face]
    turns = [found[nearest(known, t)].turns for t in range(len(found))]
    faces = zip(regions, boxes, turns, strict=True)
    return FoundFace(
        positions=[frame.position for frame in frames],
        detector=[face.detector if face else None for face in found],
        score=[face.score if face else None for face in found],
        boxes=boxes,
        landmarks=np.stack([region.find_landmarks(box, k, models) for region, box, k in faces]),
        regions=regions,
        cuts=cuts,
        warning=warn_of_others(frames, found) if config.people == 1 else None,
    )


def _search_thoroughly(
    source: Source, config: ExtractConfig, models: ModelPaths, view: View, found: list[FoundFace]
) -> list[FoundFace]:
    """Search some frames for small faces and for turned ones, and track the best of them.

    found: the faces of the first search, which are kept unless a turned one is clearer
    """
    positions = sample_positions(source.facts.frames, frames_to_keep(source.facts.duration_s, config))
    chosen = [positions[i] for i in sample_positions(len(positions), SEARCHED_FRAMES)]
    faces: list[dict[int, list[Detection]]] = [{}, {}, {}, {}]  # by quarter turns, by frame
    for position, pixels in zip(chosen, source.read(chosen), strict=True):
        for turns in range(4):
            frame = np.ascontiguousarray(np.rot90(pixels, turns))
            levels = 1 if view.enlarges else 2 if turns else 4
            if seen := detect_thoroughly(frame, models.landmarker, config, levels):
                faces[turns][position] = seen
    scores = [max((f.score for seen in by_frame.values() for f in seen), default=0.0) for by_frame in faces]
    # A drawing may look like a face in one of four turns by chance, so a turned face must be a clear one.
    turns = int(np.argmax(scores)) if max(scores) > CLEAR_SCORE else 0
    if scores[turns] <= (best_score(found[0].detector, found[0].score) if found else 0.0):
        return found
    again = _track_faces(TurnedSource(source, turns), config, models, view, faces[turns])
    return [_turned_back(face, source, turns, config) for face in again] or found


def _turned_back(found: FoundFace, source: Source, turns: int, config: ExtractConfig) -> FoundFace:
    """Map a face that was found in turned frames to the frames. turns: quarter turns, 0–3"""
    width, height = source.facts.width, source.facts.height
    pixels = source.read(found.positions)
    boxes = turn_boxes_back(found.boxes, turns, width, height)
    return replace(
        found,
        boxes=boxes,
        landmarks=turn_points_back(found.landmarks, turns, width, height),
        regions=[FaceRegion.around(frame, box, config) for frame, box in zip(pixels, boxes, strict=True)],
    )


def _is_confirmed(found: FoundFace, models: ModelPaths) -> bool:
    """Whether MediaPipe's landmarker sees a face in the best frames too.

    Measured on 82 wild clips: so people's backs and a shelf are not taken for a face, and no person is lost.
    """
    detected = [t for t, name in enumerate(found.detector) if name not in (None, TRACKER)]
    best = sorted(detected, key=lambda t: -found.score[t])

    def is_seen(t: int) -> bool:
        turns = count_turns(find_down(found.landmarks[t]))
        return not np.isnan(found.regions[t].expression_scores(found.boxes[t], turns, models)).any()

    return any(is_seen(t) for t in best[:CONFIRMED_BY])


def _detect_faces(
    source: Source, config: ExtractConfig, models: ModelPaths, view: View, seeds: dict[int, list[Detection]]
) -> list[FrameFaces]:
    """Detect the faces of every sampled frame."""
    positions = sample_positions(source.facts.frames, frames_to_keep(source.facts.duration_s, config))
    more = not config.only_heaviest and view == AS_IT_IS and searches_closer(config)
    frames: list[FrameFaces] = []
    seen: list[Detection] = []
    faces: list[Detection] = []
    for position, pixels in zip(positions, source.read(positions), strict=True):
        around = seen or (seeds[nearest(seeds, position)] if seeds else [])
        seen = detect(pixels, models.landmarker, config, around, view)
        faces = detect_others(pixels, models.landmarker, config, seen, faces) if more else seen
        regions = {face: FaceRegion.around(pixels, face.box, config) for face in (*seen, *faces)}
        frames.append(
            FrameFaces(
                position=position,
                faces=faces,
                first_look=seen,
                regions=regions,
                thumbnail=thumbnail(pixels),
            )
        )
    return frames
