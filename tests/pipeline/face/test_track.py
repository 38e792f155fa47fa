import itertools

import numpy as np
import pytest
from open_clip import open_clip

from dfer.pipeline.clip import extract_clip
from dfer.pipeline.config import BLAZEFACE, ExtractConfig
from dfer.pipeline.face.cuts import find_cuts, thumbnail
from dfer.pipeline.face.detect import Detection
from dfer.pipeline.face.track import (
    correlation_track,
    interpolate_boxes,
    link_cost,
    track_face,
    weigh,
)


def face(x, y, side, score=0.9):
    return Detection(box=(x, y, x + side, y + side), score=score, detector=BLAZEFACE)


def test_a_face_that_stays_beats_a_larger_one_that_passes():
    stays = [face(100 + t, 100, 50) for t in range(10)]
    passes = face(300, 50, 90)
    frames = [[stays[t], passes] if t == 4 else [stays[t]] for t in range(10)]
    assert track_face(frames) == stays


def test_one_person_is_tracked_and_not_mixed_with_another():
    near = [face(20 + 4 * t, 40, 100) for t in range(8)]
    far = [face(400 - 4 * t, 60, 70) for t in range(8)]
    frames = [[far[t], near[t]] if t != 3 else [far[t]] for t in range(8)]
    tracked = track_face(frames)
    assert tracked == [near[t] if t != 3 else None for t in range(8)]


def test_boxes_are_interpolated_in_gaps_and_constant_at_the_ends():
    tracked = [None, face(0, 0, 10), None, face(20, 0, 10), None]
    expected = [(0, 0, 10, 10), (0, 0, 10, 10), (10, 0, 20, 10), (20, 0, 30, 10), (20, 0, 30, 10)]
    np.testing.assert_allclose(interpolate_boxes(tracked), expected)


def test_without_frames_or_faces_nothing_is_tracked():
    assert track_face([]) == []
    assert track_face([[], []]) == [None, None]


def test_weak_detections_count_only_together_with_a_confident_one():
    weak = [[face(10, 10, 80, 0.55)], [face(12, 10, 80, 0.6)]]
    assert track_face(weak) == [None, None]
    assert track_face([*weak, [face(14, 10, 80, 0.95)]]) == [weak[0][0], weak[1][0], face(14, 10, 80, 0.95)]


def test_a_confident_face_beats_a_larger_one_that_is_never_confident():
    girl, man = face(40, 40, 60, 0.95), face(200, 20, 150, 0.6)
    assert track_face([[man, girl]] * 6) == [girl] * 6


def test_across_a_cut_only_the_same_person_is_tracked():
    before, after = [[face(10, 10, 80)]] * 3, [[face(200, 50, 60)]] * 2
    frames = before + after
    assert track_face(frames, [3]) == [f[0] for f in before] + [None, None]
    asked = []

    def same(left, right, close):
        asked.append(([t for t, _ in left], [t for t, _ in right], close))
        return True

    assert track_face(frames, [3], same) == [f[0] for f in frames]
    assert asked == [([0, 1, 2], [3, 4], False)]


def test_a_person_is_tracked_in_two_shots_with_another_person_between():
    woman, man = face(10, 10, 80), face(12, 12, 90)
    frames = [[woman]] * 4 + [[man]] * 2 + [[woman]] * 4

    def same(left, right, close):
        return left[0][1].side == right[0][1].side

    assert track_face(frames, [4, 6], same) == [woman] * 4 + [None] * 2 + [woman] * 4


def test_a_far_move_next_to_others_is_tracked_only_if_the_faces_are_one_persons():
    here, there, other = face(100, 100, 50), face(150, 100, 50), face(400, 100, 20)
    frames = [[here]] * 3 + [[here, other]] + [[there]] * 3
    asked = []

    def same(left, right, close):
        asked.append(close)
        return answer

    answer = True
    assert track_face(frames, (), same) == [here] * 4 + [there] * 3
    assert asked == [True]
    answer = False
    assert track_face(frames, (), same) == [here] * 4 + [None] * 3


@pytest.mark.parametrize("step", [5, 45])
def test_near_moves_and_those_of_a_person_who_is_alone_are_not_compared(step):
    frames = [[face(100 + step * t, 100, 50)] for t in range(9)]

    def same(*_):
        raise AssertionError("a comparison costs as much as decoding a frame")

    assert track_face(frames, (), same) == [f[0] for f in frames]


def test_a_face_in_the_same_place_after_a_cut_is_not_assumed_to_be_the_same_person():
    frames = [[face(10, 10, 80)]] * 4
    assert track_face(frames, [2]) in ([frames[0][0]] * 2 + [None] * 2, [None] * 2 + [frames[0][0]] * 2)


def test_the_answer_is_the_heaviest_of_all_possible_chains():
    # The oracle tries every choice of one face or none a frame.
    rng = np.random.default_rng(3)
    for _ in range(40):
        frames = [
            [face(*rng.uniform(0, 120, 2), rng.uniform(30, 80), rng.uniform(0.5, 1)) for _ in range(count)]
            for count in rng.integers(0, 3, 5)
        ]
        found = track_face(frames, (), lambda *_: True)
        best = max(weigh_chain(chain) for chain in itertools.product(*[[None, *faces] for faces in frames]))
        assert weigh_chain(found) == pytest.approx(best)


def weigh_chain(chain):
    """Weigh a chain as the docstring of `track_face` says; minus infinity where it cannot be."""
    faces = [f for f in chain if f]
    if not any(f.confident for f in faces):
        return 0.0
    weight = 0.0
    for before, f in zip([None, *faces], faces, strict=False):
        cost = link_cost(before, f) if before else 0.0
        weight += weigh(f) - cost
    return weight


def test_the_tracker_finds_a_face_that_moved_and_gives_up_where_there_is_none(moving_astronaut):
    first, second = moving_astronaut(12)[4:6]
    box = np.array([110.0, 80.0, 200.0, 170.0])
    found = correlation_track(first, box, second)
    assert found.detector == "tracker" and np.abs(np.array(found.box) - box).max() < 20
    assert correlation_track(first, box, np.zeros_like(first)) is None  # faded to black: dlib's score is NaN
    assert (
        correlation_track(first, box, np.random.default_rng(0).integers(0, 255, first.shape, np.uint8))
        is None
    )


@pytest.fixture(scope="module")
def two_people(moving_astronaut, sample_clips, write_video, tmp_path_factory):
    """Eight frames of the astronaut, then five of a CREMA-D actor, each filling the picture alike."""
    from PIL import Image

    source = open_clip(sample_clips / "1001_DFA_NEU_XX.flv")
    actor = [np.array(Image.fromarray(f).resize((320, 240))) for f in source.read(range(0, 50, 10))]
    return write_video(tmp_path_factory.mktemp("cut") / "cut.mp4", moving_astronaut(8) + actor)


def test_a_cut_to_another_person_is_reported_and_not_mixed_in(two_people, model_paths):
    clip = extract_clip(two_people, ExtractConfig(), model_paths)
    assert clip.track.detector == ["blazeface"] * 8 + [None] * 5
    assert clip.facts.warning == "5 of 13 frames show another person"


def test_the_same_person_is_tracked_across_a_cut(moving_astronaut, write_video, tmp_path, model_paths):
    frames = moving_astronaut(8)
    bright = [np.clip(f.astype(int) + 70, 0, 255).astype(np.uint8) for f in frames[4:]]
    moved = [np.ascontiguousarray(np.roll(f, 40, 1)) for f in bright]
    assert find_cuts([thumbnail(f) for f in frames[:4] + moved]) == [4]
    clip = extract_clip(write_video(tmp_path / "same.mp4", frames[:4] + moved), ExtractConfig(), model_paths)
    assert clip.track.detector == ["blazeface"] * 8
    assert clip.facts.warning is None
