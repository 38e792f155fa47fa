import io

import numpy as np
import pytest
from PIL import Image

from dfer.pipeline.clip import extract_clip
from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.face.align import warp
from dfer.pipeline.face.enlarge import AS_IT_IS, choose_view
from dfer.pipeline.records import SourceFacts
from dfer.pipeline.video.stills import read_image

LEFT, TOP, SIDE = 160, 50, 140  # a square that the astronaut's face fills


@pytest.fixture(scope="module")
def reference(astronaut, model_paths, tmp_path_factory):
    """The astronaut's landmarks (68, 2) in the photo of 512 pixels."""
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(astronaut).save(path)
    return extract_clip(path, ExtractConfig(), model_paths).track.landmarks[0]


@pytest.fixture
def save_face(astronaut, tmp_path):
    """save_face(48) → a picture of 48 pixels that the face fills."""

    def save(side):
        cut = Image.fromarray(astronaut[TOP : TOP + SIDE, LEFT : LEFT + SIDE])
        cut.resize((side, side), Image.Resampling.BICUBIC).save(tmp_path / f"{side}.png")
        return tmp_path / f"{side}.png"

    return save


@pytest.mark.parametrize("side", [48, 100, 192, 250])
def test_a_face_that_fills_a_small_picture_is_found_where_it_is(side, reference, save_face, model_paths):
    clip = extract_clip(save_face(side), ExtractConfig(), model_paths)
    assert (clip.status, clip.facts.frames, clip.facts.width) == ("ok", 1, side)
    track, scale = clip.track, side / SIDE
    expected = (reference + 0.5 - (LEFT, TOP)) * scale - 0.5
    eyes = np.linalg.norm(expected[36:42].mean(0) - expected[42:48].mean(0))
    assert np.linalg.norm(track.landmarks[0] - expected, axis=1).mean() < 0.08 * eyes
    x0, y0, x1, y1 = track.box[0]
    inside = (expected > (x0, y0)) & (expected < (x1, y1))
    assert inside.mean() > 0.9
    matrix = track.transform[0]
    np.testing.assert_allclose(track.landmarks[0] @ matrix[:, :2].T + matrix[:, 2], track.crop_landmarks[0])


def test_the_crop_of_an_enlarged_picture_shows_the_face_where_its_landmarks_are(save_face, model_paths):
    """Cut from the enlarged picture or bilinearly from the small one, with the same transform: the same place."""
    path = save_face(48)
    track = extract_clip(path, ExtractConfig(quality=100), model_paths).track
    crop = np.asarray(Image.open(io.BytesIO(track.crops[0]))).astype(float)
    plain = warp(read_image(path), track.transform[0], 128).astype(float)
    inside = warp(np.full((48, 48, 3), 255, np.uint8), track.transform[0], 128)[..., 0] == 255
    here = np.abs(crop - plain)[inside].mean()
    for move in ((0, 3), (3, 0), (0, -3), (-3, 0)):
        assert here < np.abs(crop - np.roll(plain, move, (0, 1)))[inside].mean()
    sharpness = [np.abs(np.diff(picture, axis=0))[inside[1:]].mean() for picture in (crop, plain)]
    assert sharpness[0] > sharpness[1]


def test_a_small_picture_without_a_face_has_none(astronaut, tmp_path, model_paths):
    for number, (x, y) in enumerate([(0, 0), (380, 300), (300, 380)]):  # a flag, a suit, a badge
        Image.fromarray(astronaut[y : y + 130, x : x + 130]).resize((48, 48)).save(tmp_path / f"{number}.png")
        clip = extract_clip(tmp_path / f"{number}.png", ExtractConfig(), model_paths)
        assert clip.status == "no_face", number


def test_a_small_face_crop_without_a_sure_face_is_a_face_as_it_is(tmp_path, model_paths):
    Image.new("RGB", (60, 48), (90, 80, 70)).save(tmp_path / "a.png")
    clip = extract_clip(tmp_path / "a.png", ExtractConfig(input="face"), model_paths)
    assert clip.track.detector == ["whole_frame"]
    np.testing.assert_allclose(clip.track.box, [[0, 0, 60, 48]], atol=1)


@pytest.mark.parametrize(
    ("frames", "side", "enlarged"),
    [(1, 255, True), (1, 256, False), (16, 127, True), (16, 128, False), (1, 15, False)],
)
def test_only_small_pictures_and_stills_get_a_border(frames, side, enlarged):
    facts = SourceFacts(frames=frames, fps=None, duration_s=None, width=400, height=side)
    assert (choose_view(facts) != AS_IT_IS) == enlarged
