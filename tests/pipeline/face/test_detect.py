import numpy as np
import pytest
from PIL import Image

from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.face.detect import Detection, detect, overlap, tile_grid


def test_the_astronauts_face_is_found(astronaut, model_paths):
    (found,) = detect(astronaut, model_paths.landmarker, ExtractConfig())
    assert found.detector == "blazeface"
    x, y = found.centre
    assert abs(x - 225) < 20 and abs(y - 120) < 20 and 80 < found.side < 160


def test_hog_runs_where_blazeface_finds_nothing(astronaut, model_paths):
    # At the end of a strip the face is too small for the short-range BlazeFace, and the strip has no tiles.
    strip = np.zeros((158, 900, 3), np.uint8)
    strip[:, 700:] = astronaut[30:188, 130:330]
    assert tile_grid(*strip.shape[:2]) == []
    (found,) = detect(strip, model_paths.landmarker, ExtractConfig())
    assert found.detector == "hog"
    x, y = found.centre
    assert abs(x - 795) < 20 and abs(y - 80) < 25


def test_a_frame_without_a_face_gives_no_detection(model_paths):
    assert detect(np.full((200, 300, 3), 90, np.uint8), model_paths.landmarker, ExtractConfig()) == []


def test_small_faces_in_a_large_frame_are_found_on_tiles_once_each(astronaut, model_paths):
    # Two faces of 60 px in a wide frame: BlazeFace misses both, HOG needs 80 px.
    portrait = np.array(Image.fromarray(astronaut).resize((300, 300)))
    wide = np.full((720, 1280, 3), 60, np.uint8)
    wide[40:340, 60:360] = wide[380:680, 900:1200] = portrait
    found = detect(wide, model_paths.landmarker, ExtractConfig())
    assert [face.detector for face in found] == ["blazeface_tile"] * 2
    centres = sorted(face.centre for face in found)
    np.testing.assert_allclose(centres, [(192, 105), (1032, 445)], atol=12)


def test_a_weak_hit_of_the_wrong_size_does_not_hide_the_face(astronaut, model_paths):
    # In the tall frame BlazeFace takes hair and suit for a face of 205 pixels, with a score of 0.58.
    frame = np.full((1080, 720, 3), 200, np.uint8)
    frame[20:270, 235:485] = np.array(Image.fromarray(astronaut).resize((250, 250)))
    (found,) = detect(frame, model_paths.landmarker, ExtractConfig())
    assert found.detector == "blazeface_tile" and 40 < found.side < 70
    x, y = found.centre
    assert abs(x - 345) < 15 and abs(y - 76) < 15


@pytest.mark.parametrize(("height", "width"), [(1080, 1920), (720, 1280), (360, 480), (200, 200)])
def test_tiles_cover_every_pixel_and_any_small_face_is_inside_one(height, width):
    squares = tile_grid(height, width)
    covered = np.zeros((height, width), bool)
    for x, y, side in squares:
        assert 0 <= x <= width - side and 0 <= y <= height - side
        covered[y : y + side, x : x + side] = True
    assert covered.all()
    smallest = min(side for _, _, side in squares)
    face = smallest // 3
    random = np.random.default_rng(0)
    for x, y in zip(
        random.integers(0, width - face, 200), random.integers(0, height - face, 200), strict=True
    ):
        assert any(
            left <= x and x + face <= left + side and top <= y and y + face <= top + side
            for left, top, side in squares
        )


def test_input_that_is_a_face_crop_falls_back_to_the_entire_frame(model_paths):
    noise = np.random.default_rng(0).integers(0, 255, (90, 80, 3), np.uint8)
    (found,) = detect(noise, model_paths.landmarker, ExtractConfig(input="face"))
    assert (found.detector, found.box) == ("whole_frame", (0, 0, 80, 90))
    assert detect(noise, model_paths.landmarker, ExtractConfig()) == []


def test_overlap_is_intersection_over_union():
    a, b, c = (
        Detection(box=box, score=1, detector="x") for box in ((0, 0, 4, 4), (2, 0, 6, 4), (9, 9, 10, 10))
    )
    assert overlap(a, b) == pytest.approx(8 / 24) and overlap(a, a) == 1 and overlap(a, c) == 0
