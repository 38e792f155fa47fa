"""Which of the tracks through a clip are people, and in which order."""

import functools
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from dfer.pipeline.config import CENTER, HEAVIEST, LARGEST, LONGEST, ExtractConfig
from dfer.pipeline.face.detect import Detection, touch
from dfer.pipeline.face.doubts import is_clear
from dfer.pipeline.face.face_region import FrameFaces
from dfer.pipeline.face.same_person import is_same_person
from dfer.pipeline.face.track import Faces, Node, SamePerson, clearest, track_face
from dfer.pipeline.setup.models import ModelPaths

SHARE = 1 / 8  # of the frames that show somebody, from which a user should know, and may want this person too
ENOUGH = 16  # frames with a person, however long the clip is


def choose_people(
    tracks: Iterable[Faces],
    config: ExtractConfig,
    same_person: SamePerson,
    clear_score: float,
    size: tuple[int, int],
    alone: Sequence[Detection | None] = (),
) -> list[Faces]:
    """Choose as many people as the settings ask for, in the order that they ask for.

    tracks: the heaviest chain first (`track_people`)
    same_person: as for `track_people`
    clear_score: BlazeFace's, of a clear face
    size: width and height of the frames, pixels
    alone: the person who is followed where only one is wanted, and whose the clip's label is; the heaviest of several
        may be another one, whom a search for one person misses

    Tracks that share no frame are one person where their faces are alike: somebody left and came back elsewhere.
    The heaviest track is a person in any case. Another one is if some frame shows it clearly, and it is in an eighth
    of the frames or in 16: who only passes by is none.
    """
    tracks = iter(tracks)
    if config.only_heaviest:
        return [faces for _, faces in zip(range(1), tracks, strict=False)]
    found = _join(tracks, same_person)
    people = [faces for n, faces in enumerate(found) if n == 0 or _is_person(faces, clear_score)]
    return sorted(people, key=_order(config.person, size, alone))[: config.people]


def warn_of_others(frames: Sequence[FrameFaces], found: Faces) -> str | None:
    """Warn where a good part of the clip shows somebody else, without the tracked person."""
    left = [[] if face else frame.faces for frame, face in zip(frames, found, strict=True)]
    others = sum(face is not None for face in track_face(left))
    if others < SHARE * len(frames):
        return None
    return f"{others} of {len(frames)} frames show another person"


def comparison(frames: Sequence[FrameFaces], models: ModelPaths) -> SamePerson:
    """Return a function that compares two faces of these frames, and embeds each at most once."""

    @functools.cache
    def embed(node: Node) -> np.ndarray:
        t, face = node
        return frames[t].regions[face].embed(face.box, face.turns, models)

    return lambda a, b, close: is_same_person([embed(n) for n in a], [embed(n) for n in b], close)


def _join(tracks: Iterable[Faces], same_person: SamePerson) -> list[Faces]:
    """Join the tracks of each person; the place of the heaviest one counts."""
    people: list[Faces] = []
    for track in tracks:
        for place, faces in enumerate(people):
            apart = not any(a and b for a, b in zip(faces, track, strict=True))
            if apart and same_person(clearest(_seen(faces)), clearest(_seen(track)), False):
                people[place] = [a or b for a, b in zip(faces, track, strict=True)]
                break
        else:
            people.append(track)
    return people


def _seen(faces: Faces) -> list[Node]:
    return [(t, face) for t, face in enumerate(faces) if face]


def _is_person(faces: Faces, clear_score: float) -> bool:
    seen = [face for _, face in _seen(faces)]
    needed = min(SHARE * len(faces), ENOUGH)
    return len(seen) >= needed and is_clear([f.detector for f in seen], [f.score for f in seen], clear_score)


def _order(rule: str, size: tuple[int, int], alone: Sequence[Detection | None]) -> Callable[[Faces], float]:
    """A function whose value is lowest for the person to follow first. Equals stay in the order of their weights."""

    def side(faces: Faces) -> float:
        return -float(np.median([face.side for _, face in _seen(faces)]))

    def distance(faces: Faces) -> float:
        centres = np.array([face.centre for _, face in _seen(faces)])
        return float(np.linalg.norm(centres - np.array(size) / 2, axis=1).mean())

    def shared(faces: Faces) -> int:
        return -sum(bool(a and b and touch(a, b)) for a, b in zip(faces, alone, strict=False))

    rules: dict[str, Callable[[Faces], float]] = {
        HEAVIEST: shared,
        LARGEST: side,
        CENTER: distance,
        LONGEST: lambda faces: -len(_seen(faces)),
    }
    return rules[rule]
