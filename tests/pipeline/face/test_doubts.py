import numpy as np
import pytest
from PIL import Image, ImageFilter

from dfer.pipeline.clip import extract_clip
from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.face.detect import detect
from dfer.pipeline.face.doubts import describe_doubts
from dfer.pipeline.face.enlarge import AS_IT_IS, View

UPRIGHT = np.array([[0.0, y] for y in range(68)])  # the mouth has the last numbers


def doubts(
    found: int, of: int = 8, score: float = 0.9, side: float = 80, face=UPRIGHT, view: View = AS_IT_IS
) -> list[str]:
    detector = ["blazeface"] * found + [None] * (of - found)
    scores = [score] * found + [None] * (of - found)
    boxes = np.array([[0.0, 0.0, side, side]] * of)
    return describe_doubts(detector, scores, boxes, np.stack([face] * of), view)


def test_a_face_in_most_frames_large_and_clear_has_no_doubts():
    assert doubts(8) == doubts(4) == []


def test_each_doubt_has_its_words():
    assert doubts(3) == ["a rare face: it was found in 3 of 8 frames"]
    assert doubts(8, side=31) == ["a small face: 31 pixels"]
    assert doubts(8, score=0.76) == ["an uncertain face: no frame shows it clearly"]
    assert doubts(8, face=-UPRIGHT) == ["a face upside down"]
    assert doubts(8, face=UPRIGHT[:, ::-1]) == doubts(8, face=-UPRIGHT[:, ::-1]) == ["a face on its side"]
    assert len(doubts(2, score=0.76, side=30)) == 3


def test_a_face_that_fills_an_enlarged_picture_is_not_small():
    enlarged, framed = View(scale=4, border=64), View(border=64)
    assert doubts(1, 1, side=30, view=enlarged) == []
    assert doubts(1, 1, side=20, view=enlarged) == ["a small face: 20 pixels"]
    assert doubts(1, 1, side=30, view=framed) == ["a small face: 30 pixels"]


def test_one_clear_frame_is_enough():
    detector, boxes = ["blazeface", "hog", "tracker"], np.array([[0.0, 0, 80, 80]] * 3)
    landmarks = np.stack([UPRIGHT] * 3)
    assert describe_doubts(detector, [0.9, 0.1, 30.0], boxes, landmarks) == []
    assert describe_doubts(detector, [0.8, 0.1, 30.0], boxes, landmarks) != []


@pytest.fixture(scope="module")
def rare_face(moving_astronaut, write_video, tmp_path_factory):
    """A face in two of eight frames, then a grey picture."""
    frames = moving_astronaut(2)
    grey = [np.full_like(frames[0], 120)] * 6
    return write_video(tmp_path_factory.mktemp("rare") / "rare.mp4", frames + grey)


def test_a_clip_with_a_rare_face_is_ok_with_a_warning_or_no_face_under_min_found(rare_face, model_paths):
    clip = extract_clip(rare_face, ExtractConfig(), model_paths)
    assert (clip.status, clip.facts.warning) == ("ok", "a rare face: it was found in 2 of 8 frames")
    clip = extract_clip(rare_face, ExtractConfig(min_found=0.25), model_paths)
    assert clip.status == "ok"
    clip = extract_clip(rare_face, ExtractConfig(min_found=0.3), model_paths)
    assert (clip.status, clip.reason) == ("no_face", "its face is in too few frames for --min-found")
    assert clip.track is None and clip.facts.frames == 8


def test_a_small_face_in_a_large_frame_is_found_by_the_thorough_search(
    astronaut, write_video, tmp_path, model_paths
):
    frame = np.full((1080, 1920, 3), 90, np.uint8)
    frame[500:750, 900:1150] = np.array(Image.fromarray(astronaut).resize((250, 250)))
    clip = extract_clip(write_video(tmp_path / "small.mp4", [frame] * 3), ExtractConfig(), model_paths)
    assert clip.status == "ok" and clip.track.detector == ["blazeface_tile"] * 3
    x, y = (clip.track.box[0][:2] + clip.track.box[0][2:]) / 2
    assert abs(x - 1010) < 15 and abs(y - 556) < 15


def test_what_is_blurred_so_that_only_blazeface_takes_it_for_a_face_is_no_face(
    astronaut, write_video, tmp_path, model_paths
):
    blurred = Image.fromarray(astronaut).filter(ImageFilter.GaussianBlur(4.5)).resize((360, 360))
    frame = np.full((480, 640, 3), 60, np.uint8)
    frame[:360, 100:460] = blurred
    assert any(face.confident for face in detect(frame, model_paths.landmarker, ExtractConfig()))
    path = write_video(tmp_path / "blurred.mkv", [frame] * 3, codec="ffv1")
    clip = extract_clip(path, ExtractConfig(), model_paths)
    assert (clip.status, clip.reason) == ("no_face", "no face in any sampled frame")
