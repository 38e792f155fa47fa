"""Track people from frame to frame: choose a detection of one person in each frame, and bridge the gaps."""

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np

from dfer.pipeline.config import BLAZEFACE
from dfer.pipeline.face.cuts import cut_between
from dfer.pipeline.face.detect import TILE, TRACKER, Detection

# Peak to side-lobe ratio above which dlib's correlation tracker still has the face. Measured: 4–6 on frames
# without it, 9–30 with it.
MIN_PSR = 8.0
# How far a head may move between two sampled frames (possibly seconds apart), in sides of its box, and how much its
# size may change, in powers of two.
MAX_MOVE, MAX_SCALE_LOG2 = 1.5, 1.0
# From here on, the two faces may as well be two people, and are compared.
DOUBTFUL_MOVE, DOUBTFUL_SCALE_LOG2 = 0.5, 0.5
SURE_SCORE, LEAST_WEIGHT = 0.9, 0.1  # a face of this score weighs its side, the weakest ones this share of it
CUT_COST = 0.5  # of linking two faces across a cut, in sides
NEAR_FRAMES = 3  # before and after a link, in which somebody else makes it doubtful
LONGEST_GAP = 3  # frames over which one of several people is taken for the same without a comparison
NEAR_LINK = 6  # detections on each side of a doubtful link or gap, of which the clearest are compared
CLEAREST = 3

Node = tuple[int, Detection]  # frame and face
Faces = list[Detection | None]  # of one person in each frame
SamePerson = Callable[[Sequence[Node], Sequence[Node], bool], bool]


def track_face(
    frames: Sequence[Sequence[Detection]],
    cuts: Collection[int] = (),
    same_person: SamePerson = lambda a, b, close: close,
) -> Faces:
    """Choose one person, the first of `track_people`; all are None where no detection of a person is confident."""
    return next(track_people(frames, cuts, same_person), [None] * len(frames))


def track_people(
    frames: Sequence[Sequence[Detection]],
    cuts: Collection[int],
    same_person: SamePerson,
    longest_gap: float = np.inf,
) -> Iterator[Faces]:
    """Choose one person after the other, and the detection of this person in each frame.

    frames: the detections of each frame
    cuts: frames before which there may be a cut
    same_person: whether two lists of (frame, face) show one person, who could have moved from one to the other
        (close) or not (across a cut); called for doubtful links of likely answers only, since it is expensive
    longest_gap: a link over more frames is doubtful: another one may have taken the place

    Yields one detection or None a frame.

    A person is the heaviest chain with a confident detection. A chain links detections that one head could have
    moved between, and weighs the sum of its detections less the cost of the moves. So a face that stays beats a
    larger one that passes. A doubtful link, across a cut or far while others are near, is taken on trust until the
    chain is the heaviest; then the faces on its two sides are compared, and if they are two people, all links between
    these two parts are given up. The next person is the heaviest chain of the detections that are left.
    """
    nodes = [(t, face) for t, found in enumerate(frames) for face in found]
    costs, doubtful = _link_costs(nodes, cuts, longest_gap)
    while chain := _chain_of_one_person(nodes, costs, doubtful, cuts, same_person):
        chosen: Faces = [None] * len(frames)
        for i in chain:
            t, chosen[t] = nodes[i]
        yield chosen
        left = np.setdiff1d(np.arange(len(nodes)), chain)
        nodes = [nodes[i] for i in left]
        costs, doubtful = costs[np.ix_(left, left)], doubtful[np.ix_(left, left)]


def _chain_of_one_person(
    nodes: Sequence[Node],
    costs: np.ndarray,
    doubtful: np.ndarray,
    cuts: Collection[int],
    same_person: SamePerson,
) -> list[int]:
    """Find the heaviest chain that shows one person; empty if there is none.

    costs, doubtful: as of `_link_costs`; the links between two people become infinite
    """
    while chain := _heaviest_chain(nodes, costs):
        refused = next(
            (
                (left, right)
                for left, right in itertools.pairwise(_split(chain, doubtful))
                if not _is_one_person(left, right, nodes, cuts, same_person)
            ),
            None,
        )
        if refused is None:
            break
        costs[np.ix_(*refused)] = np.inf
    return chain


def clearest(nodes: Sequence[Node]) -> list[Node]:
    """A few faces of a person to compare with others, the clearest first."""
    return sorted(nodes, key=lambda node: node[1].score, reverse=True)[:CLEAREST]


def weigh(face: Detection) -> float:
    """Weigh a detection: its side, pixels, and less where BlazeFace's score, 0.5–1, is low."""
    if face.detector not in (BLAZEFACE, TILE):
        return face.side
    sure = float(np.clip((face.score - 0.5) / (SURE_SCORE - 0.5), 0, 1))
    return face.side * max(LEAST_WEIGHT, sure**2)


def link_cost(a: Detection, b: Detection) -> float:
    """Price a move from one box to another, in pixels; infinite where it is too far for one head."""
    return float(_move_costs(np.array([a.box]), np.array([b.box]))[0][0, 0])


def find_jumps(boxes: np.ndarray, seen: Sequence[bool]) -> list[int]:
    """Find the frames before which a person's face jumps: too far for one head, as after an absence.

    boxes: (m, 4), pixels
    seen: m, whether the face was found; the frames between the two places belong to neither
    """
    pairs = itertools.pairwise(np.flatnonzero(seen).tolist())
    far = [(i, j) for i, j in pairs if np.isinf(_move_costs(boxes[[i]], boxes[[j]])[0]).any()]
    return sorted({t for i, j in far for t in (i + 1, j)})


def interpolate_boxes(tracked: Faces) -> np.ndarray:
    """Give every frame a box (m, 4): the tracked face's, interpolated where it was not found.

    Before the first and after the last detection the box stays where it was. At least one frame has a face.
    """
    known = [t for t, face in enumerate(tracked) if face]
    boxes = np.array([tracked[t].box for t in known])
    return np.stack([np.interp(range(len(tracked)), known, boxes[:, i]) for i in range(4)], axis=1)


def correlation_track(start: np.ndarray, box: np.ndarray, image: np.ndarray) -> Detection | None:
    """Find the face of one image in another image of the same scene, by dlib's correlation tracker.

    start, image: (h, w, 3) uint8, of one size
    box: the face in `start`, x0, y0, x1, y1 in pixels

    Returns None where the tracker loses the face.
    """
    import dlib

    tracker = dlib.correlation_tracker()
    guess = dlib.drectangle(*map(float, box))
    tracker.start_track(np.ascontiguousarray(start), guess)
    score = tracker.update(np.ascontiguousarray(image), guess)
    if not score >= MIN_PSR:  # NaN where the image is black
        return None
    found = tracker.get_position()
    return Detection(
        box=(found.left(), found.top(), found.right(), found.bottom()), score=score, detector=TRACKER
    )


def _link_costs(
    nodes: Sequence[Node], cuts: Collection[int], longest_gap: float
) -> tuple[np.ndarray, np.ndarray]:
    """Price the links between all detections.

    Returns their costs (n, n), pixels, infinite where one person cannot be both, and which are doubtful (n, n) bool.
    """
    faces = [face for _, face in nodes]
    boxes = np.array([face.box for face in faces]).reshape(-1, 4)
    costs, doubtful = _move_costs(boxes, boxes)
    shot = np.searchsorted(sorted(cuts), [t for t, _ in nodes], side="right")
    across = np.not_equal.outer(shot, shot)
    sides = np.array([face.side for face in faces])
    costs = np.where(across, CUT_COST * np.add.outer(sides, sides) / 2, costs)
    frame = np.array([t for t, _ in nodes])
    crowds = {t for t, count in Counter(frame.tolist()).items() if count > 1}
    # A far move is doubtful only where there is somebody else to confuse the person with.
    crowded = np.array([any(abs(t - other) <= NEAR_FRAMES for other in crowds) for t in frame], bool)
    late = np.subtract.outer(frame, frame) < -longest_gap
    doubtful = doubtful & np.logical_or.outer(crowded, crowded) | across | late
    return np.where(np.less.outer(frame, frame), costs, np.inf), doubtful


def _move_costs(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Price the moves between boxes (a, 4) and (b, 4).

    Returns the costs (a, b), pixels, infinite where the move is too far, and which are doubtful (a, b) bool.
    """
    (x, y), (u, v) = (((boxes[:, :2] + boxes[:, 2:]) / 2).T for boxes in (start, end))  # centres
    a, b = (np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1)) for boxes in (start, end))  # sides
    side = np.add.outer(a, b) / 2
    move = np.hypot(np.subtract.outer(x, u), np.subtract.outer(y, v)) / side
    scale = np.abs(np.subtract.outer(np.log2(a), np.log2(b)))
    possible = (move < MAX_MOVE) & (scale < MAX_SCALE_LOG2)
    doubtful = (move > DOUBTFUL_MOVE) | (scale > DOUBTFUL_SCALE_LOG2)
    return np.where(possible, side * (move + scale) / 2, np.inf), doubtful


def _heaviest_chain(nodes: Sequence[Node], costs: np.ndarray) -> list[int]:
    """Find the heaviest chain of nodes that has a confident detection; empty if there is none.

    costs: (n, n) of the links, infinite where there is none
    """
    # Best weight of a chain that ends at a node, and the node before: [0] of any chain, [1] of one with a confident
    # detection at or before the node.
    weight = np.full((2, len(nodes)), -np.inf)
    before = np.full((2, len(nodes), 2), -1)
    for j, (_, face) in enumerate(nodes):
        own = weigh(face)
        for kind in (0, 1):
            links = weight[kind, :j] - costs[:j, j]
            i = int(np.argmax(links)) if j else -1
            if j and links[i] > 0:
                weight[kind, j], before[kind, j] = own + links[i], (kind, i)
        if weight[0, j] == -np.inf:
            weight[0, j] = own
        if face.confident:
            weight[1, j], before[1, j] = weight[0, j], before[0, j]
    chain: list[int] = []
    kind, at = 1, int(np.argmax(weight[1])) if nodes and np.isfinite(weight[1].max()) else -1
    while at >= 0:
        chain.append(at)
        kind, at = before[kind, at]
    return chain[::-1]


def _split(chain: Sequence[int], doubtful: np.ndarray) -> Iterator[list[int]]:
    """Split a chain of nodes at its doubtful links."""
    part: list[int] = []
    for i in chain:
        if part and doubtful[part[-1], i]:
            yield part
            part = []
        part.append(i)
    yield part


def _is_one_person(
    left: Sequence[int],
    right: Sequence[int],
    nodes: Sequence[Node],
    cuts: Collection[int],
    same_person: SamePerson,
) -> bool:
    """Compare the clearest faces on both sides of a doubtful link."""
    close = not cut_between(nodes[left[-1]][0], nodes[right[0]][0], cuts)
    a, b = (clearest([nodes[i] for i in part]) for part in (left[-NEAR_LINK:], right[:NEAR_LINK]))
    return same_person(a, b, close)
