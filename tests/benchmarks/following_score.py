"""Compare answers about whose face is where with true boxes drawn by eye.

`following_truth.csv` has one row per clip, annotated frame and person:

repository, path   the clip
kind               film, tv, crowd, small, sign, driver, mask, profile, dark, baby, cartoon, animal, hand, talking or
                   rolled
frame              from 0, in the order in which frames are shown; one that an extraction with 32 frames samples
x0, y0, x1, y1     from brow to chin and from ear to ear, pixels of the shown frame; empty where nobody has a face
person             one name through the clip; empty where nobody has a face
followable         "yes" where a viewer would accept that this person is followed, "no" for extras

An answer is a box in a frame. It hits the person with whose box it overlaps most, by IoU >= 0.4. Of the followable
persons, a way is taken to follow the one it hits most often.
"""

import csv
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

TRUTH = Path(__file__).with_name("following_truth.csv")
MIN_IOU = 0.4
PLAIN_SIDE = 48  # pixels; a clip with a face of this size to follow is not one without a face
Box = tuple[float, float, float, float]  # x0, y0, x1, y1, pixels


@dataclass(frozen=True, kw_only=True)
class Person:
    """A face drawn by eye, in one frame."""

    name: str
    box: Box
    followable: bool


@dataclass(frozen=True, kw_only=True)
class TrueClip:
    """A clip and the persons in each annotated frame; none where the frame has no face."""

    repository: str
    path: str
    kind: str
    frames: dict[int, list[Person]]

    def file(self, folder: Path) -> Path:
        return folder / self.repository.replace("/", "+") / self.path


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a way says about a clip: a box or None for each annotated frame.

    detector: by frame, what found the box
    warning: the clip's source warning
    """

    boxes: dict[int, Box | None]
    no_face: bool
    detector: Mapping[int, str] | None = None
    warning: str | None = None


@dataclass(frozen=True, kw_only=True)
class Score:
    """Counts of one or more clips.

    right, faces: frames on the followed person's face, of those that show it
    rightly_empty, empty: frames without an answer, of those without any face
    wrong: frames whose answer hits nobody, or somebody whom no viewer would follow
    switches: how often an answer hits another person than the answer before it
    spoilt: clips with a wrong frame or a switch
    lost: clips called no_face although they plainly show a face to follow
    warned: clips with a source warning
    """

    clips: int = 1
    right: int = 0
    faces: int = 0
    rightly_empty: int = 0
    empty: int = 0
    wrong: int = 0
    switches: int = 0
    spoilt: int = 0
    lost: int = 0
    warned: int = 0


def read_truth(path: Path = TRUTH) -> list[TrueClip]:
    """Read the table of true boxes, in its order."""
    clips: dict[tuple[str, str], TrueClip] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            key = row["repository"], row["path"]
            clip = clips.setdefault(
                key, TrueClip(repository=key[0], path=key[1], kind=row["kind"], frames={})
            )
            persons = clip.frames.setdefault(int(row["frame"]), [])
            if row["person"]:
                box = tuple(float(row[edge]) for edge in ("x0", "y0", "x1", "y1"))
                persons.append(Person(name=row["person"], box=box, followable=row["followable"] == "yes"))
    return list(clips.values())


def score(frames: Mapping[int, Sequence[Person]], answer: Answer) -> Score:
    """Compare the answer for a clip with the persons in its annotated frames."""
    hits = {frame: hit(box, frames[frame]) for frame, box in answer.boxes.items() if box}
    followable = [person.name for persons in frames.values() for person in persons if person.followable]
    shown, hit_often = Counter(followable), Counter(p.name for p in hits.values() if p and p.followable)
    followed = max(shown, key=lambda name: (hit_often[name], shown[name]), default=None)
    persons_in_order = [person.name for _, person in sorted(hits.items()) if person]
    switches = sum(a != b for a, b in itertools.pairwise(persons_in_order))
    wrong = sum(person is None or not person.followable for person in hits.values())
    empty = [frame for frame, persons in frames.items() if not persons]
    plain = any(p.followable and side(p.box) >= PLAIN_SIDE for persons in frames.values() for p in persons)
    return Score(
        right=hit_often[followed],
        faces=shown[followed],
        rightly_empty=sum(frame not in hits for frame in empty),
        empty=len(empty),
        wrong=wrong,
        switches=switches,
        spoilt=int(bool(wrong or switches)),
        lost=int(answer.no_face and plain),
        warned=int(bool(answer.warning)),
    )


def hit(box: Box, persons: Iterable[Person]) -> Person | None:
    """Return the person whose face the box is on."""
    best = max(persons, key=lambda person: overlap(box, person.box), default=None)
    return best if best and overlap(box, best.box) >= MIN_IOU else None


def overlap(a: Box, b: Box) -> float:
    """Compute the intersection over union of two boxes, 0–1."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / (side(a) ** 2 + side(b) ** 2 - shared)


def side(box: Box) -> float:
    return ((box[2] - box[0]) * (box[3] - box[1])) ** 0.5


def total(scores: Iterable[Score]) -> Score:
    """Add scores up."""
    counts: Counter[str] = Counter()
    for one in scores:
        counts.update(asdict(one))
    return Score(**{"clips": 0, **counts})
