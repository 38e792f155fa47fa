import numpy as np
import pytest
from PIL import Image

from pipeline.faces import Detection, carry_boxes, detect, follow


def face(x, y, side, score=0.9):
    return Detection(box=(x, y, x + side, y + side), score=score, detector="test")


def test_the_face_of_the_astronaut_is_found_where_it_is(astronaut, model_paths):
    (found,) = detect(astronaut, model_paths.landmarker, 0.5)
    assert found.detector == "blazeface"
    x, y = found.centre
    assert abs(x - 225) < 20 and abs(y - 120) < 20 and 80 < found.side < 160


def test_hog_is_asked_where_blazeface_finds_nothing(astronaut, model_paths):
    # In the corner of a wide frame the face is too small for the short-range BlazeFace.
    wide = np.zeros((360, 640, 3), np.uint8)
    wide[53:, 333:] = np.array(Image.fromarray(astronaut).resize((307, 307)))
    (found,) = detect(wide, model_paths.landmarker, 0.5)
    assert found.detector == "hog"
    x, y = found.centre
    assert abs(x - 468) < 20 and abs(y - 123) < 20


def test_a_frame_without_a_face_gives_none(model_paths):
    assert detect(np.full((200, 300, 3), 90, np.uint8), model_paths.landmarker, 0.5) == []


def test_a_face_that_stays_beats_a_larger_one_that_passes():
    stays = [face(100 + t, 100, 50) for t in range(10)]
    passes = face(300, 50, 90)
    frames = [[stays[t], passes] if t == 4 else [stays[t]] for t in range(10)]
    assert follow(frames) == stays


def test_one_person_is_followed_and_another_one_is_not_mixed_in():
    near = [face(20 + 4 * t, 40, 100) for t in range(8)]
    far = [face(400 - 4 * t, 60, 70) for t in range(8)]
    frames = [[far[t], near[t]] if t != 3 else [far[t]] for t in range(8)]
    followed = follow(frames)
    assert followed == [near[t] if t != 3 else None for t in range(8)]


def test_boxes_are_interpolated_in_gaps_and_held_at_the_ends():
    followed = [None, face(0, 0, 10), None, face(20, 0, 10), None]
    expected = [(0, 0, 10, 10), (0, 0, 10, 10), (10, 0, 20, 10), (20, 0, 30, 10), (20, 0, 30, 10)]
    np.testing.assert_allclose(carry_boxes(followed), expected)
    with pytest.raises(ValueError, match="no frame"):
        carry_boxes([None])


def test_no_frames_and_no_faces_are_followed_by_nothing():
    assert follow([]) == []
    assert follow([[], []]) == [None, None]
