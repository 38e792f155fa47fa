"""Frames as players show them: turned, mirrored, with square pixels."""

from fractions import Fraction

import av
import numpy as np
import pytest
from open_clip import open_clip
from PIL import Image

from dfer.pipeline.clip import extract_clip
from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.video import decode
from dfer.pipeline.video.container import read_track

WIDTH, HEIGHT = 192, 128
GREYS = (255, 170, 85, 0)  # top left, top right, bottom left, bottom right
ONE = 1 << 16
# By EXIF orientation: where a stored pixel's x and y go (a, b, c, d), and how NumPy shows the stored picture.
ORIENTATIONS = {
    1: ((1, 0, 0, 1), lambda p: p),
    2: ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    3: ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
    4: ((1, 0, 0, -1), lambda p: p[::-1]),
    5: ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
    6: ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    7: ((0, -1, -1, 0), lambda p: np.rot90(p[:, ::-1], -1)),
    8: ((0, -1, 1, 0), lambda p: np.rot90(p)),
}
WAYS = ("seeking", "in order")


def four_greys():
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for number, grey in enumerate(GREYS):
        top, left = (number // 2) * HEIGHT // 2, (number % 2) * WIDTH // 2
        picture[top : top + HEIGHT // 2, left : left + WIDTH // 2] = grey
    return picture


def greys_of(picture):
    """The grey in the middle of each quarter, rounded to one of GREYS."""
    height, width, _ = picture.shape
    middles = [picture[y * height // 4, x * width // 4].mean() for y in (1, 3) for x in (1, 3)]
    return [min(GREYS, key=lambda grey: abs(grey - middle)) for middle in middles]


def write(path, frames, matrix=None, aspect=None):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        if matrix:
            a, b, c, d = (ONE * value for value in matrix)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def open_in(way, path):
    return (
        decode.SeekingVideo(path, read_track(path)) if way == "seeking" else decode.SequentialVideo(path, "")
    )


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_all_eight_orientations_of_a_video_are_shown_upright(tmp_path, orientation, way, suffix):
    matrix, show = ORIENTATIONS[orientation]
    path = write(tmp_path / f"clip{suffix}", [four_greys()] * 3, matrix)
    source = open_in(way, path)
    (frame,) = source.read([1])
    assert greys_of(frame) == greys_of(show(four_greys()))
    assert (source.facts.height, source.facts.width) == frame.shape[:2] == show(four_greys()).shape[:2]
    assert open_clip(path).facts.warning is None


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_all_eight_orientations_of_an_image_are_shown_upright(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(four_greys()).save(tmp_path / f"0{suffix}", exif=exif)
    (frame,) = open_clip(tmp_path).read([0])
    assert greys_of(frame) == greys_of(ORIENTATIONS[orientation][1](four_greys()))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("aspect", "orientation", "size"),
    [
        (Fraction(16, 9), 1, (341, 128)),
        (Fraction(3, 4), 1, (192, 171)),
        (Fraction(16, 9), 6, (128, 341)),
        (Fraction(3, 4), 5, (171, 192)),
        (Fraction(1215, 1216), 1, (192, 128)),
    ],
)
def test_pixels_become_square_without_losing_any(tmp_path, way, aspect, orientation, size):
    matrix, show = ORIENTATIONS[orientation]
    path = write(tmp_path / "clip.mp4", [four_greys()] * 3, matrix, aspect)
    source = open_in(way, path)
    (frame,) = source.read([1])
    assert (source.facts.width, source.facts.height) == (frame.shape[1], frame.shape[0]) == size
    assert greys_of(frame) == greys_of(show(four_greys()))


def test_a_damaged_pixel_aspect_ratio_is_ignored_with_a_warning(tmp_path):
    source = open_clip(write(tmp_path / "clip.mp4", [four_greys()] * 3, aspect=Fraction(9, 1)))
    assert (source.facts.width, source.facts.height) == (WIDTH, HEIGHT)
    assert source.facts.warning == "the pixel aspect ratio is damaged and was ignored"


@pytest.mark.parametrize("aspect", [None, Fraction(16, 9)])
@pytest.mark.parametrize("orientation", [1, 2, 5])
def test_a_face_is_cropped_as_from_an_upright_video_of_square_pixels(
    moving_astronaut, tmp_path, model_paths, aspect, orientation
):
    frames, matrix = moving_astronaut(4), ORIENTATIONS[orientation][0]
    _, unshow = ORIENTATIONS[{6: 8, 8: 6}.get(orientation, orientation)]  # the others undo themselves
    stored = [np.ascontiguousarray(unshow(frame)) for frame in frames]
    if aspect:
        height, width = stored[0].shape[:2]
        narrow = (round(width / aspect / 2) * 2, height)
        stored = [np.asarray(Image.fromarray(frame).resize(narrow)) for frame in stored]
    config = ExtractConfig(frames=4)
    plain, shown = (
        extract_clip(path, config, model_paths).track
        for path in (
            write(tmp_path / "plain.mp4", frames),
            write(tmp_path / "shown.mp4", stored, matrix, aspect),
        )
    )
    eyes = np.linalg.norm(plain.landmarks[:, 36] - plain.landmarks[:, 45], axis=-1).mean()
    assert np.abs(plain.landmarks - shown.landmarks).mean() < 0.03 * eyes
    assert np.abs(plain.crop_keypoints - shown.crop_keypoints).mean() < 2
