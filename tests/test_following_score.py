"""How the benchmark of following counts, and that its table of true boxes is sound."""

import runpy
from pathlib import Path
from types import SimpleNamespace

FOLLOWING = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).parent / "benchmarks" / "following_score.py"))
)
LEFT, RIGHT, NOWHERE = (0, 0, 100, 100), (200, 0, 300, 100), (500, 500, 600, 600)


def person(name, box, followable=True):
    return FOLLOWING.Person(name=name, box=box, followable=followable)


def score(frames, boxes, **answer):
    return FOLLOWING.score(frames, FOLLOWING.Answer(boxes=boxes, **{"no_face": False, **answer}))


def test_frames_of_the_person_hit_most_often_count():
    both = [person("anna", LEFT), person("ben", RIGHT)]
    found = score(
        {0: both, 1: both, 2: both, 3: [person("anna", LEFT)]}, {0: RIGHT, 1: RIGHT, 2: None, 3: LEFT}
    )
    assert (found.right, found.faces, found.wrong, found.switches, found.spoilt) == (2, 3, 0, 1, 1)


def test_an_answer_on_nobody_or_on_an_extra_is_wrong():
    scene = [person("anna", LEFT), person("waiter", RIGHT, followable=False)]
    found = score({0: scene, 1: scene, 2: scene}, {0: LEFT, 1: NOWHERE, 2: RIGHT})
    assert (found.right, found.faces, found.wrong, found.switches) == (1, 3, 2, 1)


def test_a_box_of_less_than_0_4_overlap_is_not_on_the_face():
    found = score({0: [person("anna", LEFT)]}, {0: (0, 0, 160, 160)})
    assert (found.right, found.wrong) == (0, 1)


def test_frames_without_a_face_are_rightly_empty_or_wrong():
    found = score({0: [], 1: [], 2: [person("anna", LEFT)]}, {0: None, 1: NOWHERE, 2: LEFT})
    assert (found.rightly_empty, found.empty, found.wrong, found.right) == (1, 2, 1, 1)


def test_no_face_is_wrong_only_where_a_face_to_follow_is_plain():
    plain, small = person("anna", (0, 0, 48, 48)), person("anna", (0, 0, 47, 47))
    extra = person("waiter", LEFT, followable=False)
    assert score({0: [plain]}, {0: None}, no_face=True).lost == 1
    assert score({0: [small, extra]}, {0: None}, no_face=True).lost == 0
    assert score({0: [plain]}, {0: None}).lost == 0


def test_scores_add_up():
    one = score({0: [person("anna", LEFT)]}, {0: LEFT}, warning="odd")
    both = FOLLOWING.total([one, one])
    assert (both.clips, both.right, both.faces, both.warned) == (2, 2, 2, 2)
    assert FOLLOWING.total([]).clips == 0


def test_the_table_of_true_boxes_is_sound():
    clips = FOLLOWING.read_truth()
    assert len({(clip.repository, clip.path) for clip in clips}) == len(clips) >= 20
    for clip in clips:
        for frame, persons in clip.frames.items():
            assert len({p.name for p in persons}) == len(persons), (clip.path, frame)
            assert all(p.box[0] < p.box[2] and p.box[1] < p.box[3] for p in persons), (clip.path, frame)
        names = {(p.name, p.followable) for persons in clip.frames.values() for p in persons}
        assert len(names) == len({name for name, _ in names}), clip.path
