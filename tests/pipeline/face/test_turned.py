import numpy as np
import pytest

from dfer.pipeline.clip import extract_clip
from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.face.align import count_turns, find_down
from dfer.pipeline.face.turned import turn_boxes_back, turn_points_back


@pytest.mark.parametrize("turns", range(4))
def test_points_and_boxes_of_a_turned_frame_are_mapped_back(turns):
    frame = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    turned = np.rot90(frame, turns)
    y, x = np.mgrid[: turned.shape[0], : turned.shape[1]]
    back = turn_points_back(np.stack([x.ravel(), y.ravel()], 1), turns, 30, 20).astype(int)
    assert np.array_equal(frame[back[:, 1], back[:, 0]], turned[y.ravel(), x.ravel()])
    x0, y0, x1, y1 = turn_boxes_back(np.array([3, 4, 10, 8]), turns, 30, 20)
    assert np.array_equal(np.rot90(frame[y0:y1, x0:x1], turns), turned[4:8, 3:10])


@pytest.mark.parametrize(
    ("turns", "words"), [(1, "a face on its side"), (2, "a face upside down"), (3, "a face on its side")]
)
def test_a_face_that_is_not_upright_is_found_with_the_same_landmarks(
    turns, words, moving_astronaut, write_video, tmp_path, model_paths
):
    frames = moving_astronaut(4)
    lying = [np.ascontiguousarray(np.rot90(f, -turns)) for f in frames]
    config = ExtractConfig(blendshapes=True)
    upright = extract_clip(write_video(tmp_path / "upright.mp4", frames), config, model_paths)
    clip = extract_clip(write_video(tmp_path / "lying.mp4", lying), config, model_paths)
    assert (clip.status, clip.facts.warning, upright.facts.warning) == ("ok", words, None)
    assert (clip.facts.width, clip.facts.height) == lying[0].shape[1::-1]
    expected = upright.track.landmarks
    side = np.ptp(expected[0, :, 0])
    for t in range(4):
        assert count_turns(find_down(clip.track.landmarks[t])) == turns
        back = turn_points_back(expected[t], turns, *lying[0].shape[1::-1])
        assert np.abs(clip.track.landmarks[t] - back).mean() < 0.05 * side
    # The crops show the face upright, so a model that expects that sees the same expression.
    assert np.abs(clip.track.crop_keypoints - upright.track.crop_keypoints).max() < 0.1 * 128
    assert np.abs(clip.track.blendshapes - upright.track.blendshapes).mean() < 0.1
