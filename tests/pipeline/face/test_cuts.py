import numpy as np
import pytest
from open_clip import open_clip
from PIL import Image

from dfer.pipeline.face.cuts import cut_between, find_cuts, thumbnail


def test_cuts_are_found_between_shots_and_not_in_a_moving_one(moving_astronaut):
    frames = moving_astronaut(6)
    other = [np.full_like(frames[0], 250)] * 2
    assert find_cuts([thumbnail(f) for f in frames]) == []
    assert find_cuts([thumbnail(f) for f in frames + other]) == [6]
    assert find_cuts([thumbnail(frames[0])]) == find_cuts([]) == []


def test_a_frame_of_another_size_is_a_cut(astronaut):
    assert find_cuts([thumbnail(astronaut), thumbnail(astronaut[:300, :300])]) == [1]


@pytest.fixture
def dark_shots(astronaut, sample_clips) -> list[np.ndarray]:
    """Two shots of two people, so dark that pixels in the same place differ by 25 of 255 only."""
    actor = next(iter(open_clip(sample_clips / "1001_DFA_NEU_XX.flv").read([0])))
    return [np.array(Image.fromarray(f).resize((320, 240))) // 3 for f in (astronaut, actor)]


def test_a_cut_between_dark_shots_is_found(dark_shots):
    first, second = dark_shots
    assert np.abs(first.astype(int) - second).mean() < 30
    assert find_cuts([thumbnail(f) for f in (first, first, second, second)]) == [2]


def test_a_pan_is_not_a_cut(astronaut):
    # Each frame shows the picture 16 pixels further on: pixels in the same place differ by more than 30.
    frames = [astronaut[:, x : x + 300] for x in range(0, 96, 16)]
    assert np.abs(frames[0].astype(int) - frames[1]).mean() > 30
    assert find_cuts([thumbnail(f) for f in frames]) == []


def test_a_cut_lies_between_frames_in_either_order():
    assert cut_between(5, 6, [6]) and cut_between(6, 5, [6]) and not cut_between(6, 7, [6])
