"""One face in frames as they come: found, kept while others pass, cut as a cache's crops are."""

import numpy as np
import pytest
from PIL import Image
from simplejpeg import decode_jpeg

from dfer import pipeline
from dfer.pipeline.config import RunOptions
from dfer.pipeline.live.follow import FaceFollower
from dfer.pipeline.setup.models import obtain_all
from dfer.schemas.keypoints import DLIB18


@pytest.fixture
def follower():
    return FaceFollower(
        pipeline.ExtractConfig(blendshapes=True), obtain_all(RunOptions().models_folder), DLIB18
    )


def test_a_face_that_stays_has_the_points_and_crops_of_an_extraction(follower, moving_astronaut, tmp_path):
    frame = moving_astronaut(1)[0]
    for number in range(4):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    track = pipeline.extract_clip(tmp_path, pipeline.ExtractConfig(blendshapes=True)).track
    for number in range(4):
        face = follower.find(frame, number / 25)
        pixels = decode_jpeg(track.crops[number], colorspace="RGB").astype(int)
        assert np.abs(face.crop_landmarks - track.crop_landmarks[number]).max() < 1e-3
        assert np.abs(face.crop_keypoints - track.crop_keypoints[number]).max() < 1e-3
        assert np.abs(face.blendshapes - track.blendshapes[number]).max() < 1e-3
        assert np.abs(face.crop - pixels).mean() < 3  # the JPEG's loss


def test_a_larger_face_that_comes_later_does_not_take_over(follower, astronaut):
    face = astronaut[:240, 120:340]
    large = np.asarray(Image.fromarray(face).resize((440, 480)))
    alone, both = (np.zeros((480, 800, 3), np.uint8) for _ in range(2))
    for frame in (alone, both):
        frame[100:340, 20:240] = face
    both[:, 340:780] = large
    assert follower.find(alone, 0.0).box[2] < 240
    assert follower.find(both, 0.1).box[2] < 240
    gone = both.copy()
    gone[:, :300] = 0
    assert follower.find(gone, 0.2) is None  # it may come back
    assert follower.find(gone, 2.0).box[0] > 340  # it did not


def test_a_frame_without_a_face_has_none(follower):
    assert follower.find(np.zeros((480, 640, 3), np.uint8), 0.0) is None
