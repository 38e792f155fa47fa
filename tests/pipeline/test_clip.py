import dataclasses
import io

import numpy as np
from PIL import Image

from dfer.pipeline.clip import extract_clip
from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.face import align
from dfer.pipeline.face.landmarks import find_landmarks
from dfer.schemas.keypoints import DLIB18


def test_crops_and_points_of_a_clip_fit_each_other(astronaut_video, model_paths):
    clip = extract_clip(astronaut_video, ExtractConfig(frames=8, size=96), model_paths)
    track = clip.track
    assert (clip.status, clip.reason, clip.facts.frames) == ("ok", None, 12)
    assert track.source_frame == [0, 2, 3, 5, 6, 8, 9, 11]
    assert track.detector == ["blazeface"] * 8
    assert track.landmarks.shape == (8, 68, 2) and track.keypoints.shape == (8, 18, 2)
    np.testing.assert_allclose(track.keypoints, DLIB18.select(track.landmarks))
    np.testing.assert_allclose(
        track.crop_keypoints,
        np.einsum("tij,tkj->tki", track.transform[:, :, :2], track.keypoints)
        + track.transform[:, None, :, 2],
    )
    assert [Image.open(io.BytesIO(crop)).size for crop in track.crops] == [(96, 96)] * 8
    assert ((track.crop_keypoints > 0) & (track.crop_keypoints < 95)).all()


def test_another_keypoint_set_gives_other_keypoints_in_the_same_crops(astronaut_video, model_paths):
    config = ExtractConfig(frames=2)
    eyes = dataclasses.replace(DLIB18, name="eyes", sources=(tuple(range(36, 42)), tuple(range(42, 48))))
    track = extract_clip(astronaut_video, config, model_paths, keypoints=eyes).track
    usual = extract_clip(astronaut_video, config, model_paths).track
    assert track.crops == usual.crops and usual.keypoints.shape == (2, 18, 2)
    assert track.keypoints.shape == track.crop_keypoints.shape == (2, 2, 2)
    np.testing.assert_allclose(track.keypoints[:, 0], track.landmarks[:, 36:42].mean(1))


def test_the_points_follow_the_head(astronaut_video, model_paths):
    track = extract_clip(astronaut_video, ExtractConfig(), model_paths).track
    middle = track.landmarks.mean(1)
    # The fixture moves the view by 40 px of the picture to the right at a scale of 1.4: the face goes left.
    assert middle[0, 0] - middle[-1, 0] > 15
    # In the crops the face stands still.
    assert np.abs(track.crop_keypoints - track.crop_keypoints[:1]).max() < 0.12 * 128


def test_landmarks_found_in_a_crop_are_where_the_transform_puts_them(sample_clips, model_paths):
    clip = extract_clip(sample_clips / "1001_DFA_NEU_XX.flv", ExtractConfig(size=256), model_paths)
    for t in (0, 15, 31):
        crop = np.array(Image.open(io.BytesIO(clip.track.crops[t])))
        box = np.array(clip.track.box[t]).reshape(2, 2)
        moved = box @ clip.track.transform[t, :, :2].T + clip.track.transform[t, :, 2]
        again = DLIB18.select(find_landmarks(crop, moved.ravel(), model_paths.predictor))
        error = np.linalg.norm(again - clip.track.crop_keypoints[t], axis=1)
        assert np.median(error) < 0.02 * 256  # the predictor's own scatter; a wrong transform is far off


def test_a_face_covered_for_a_frame_is_tracked_or_its_box_is_interpolated(
    moving_astronaut, write_video, tmp_path, model_paths
):
    frames = moving_astronaut(12)
    # A bar over the eyes hides the face from every detector; what is around it still shows where it is.
    hidden = frames[5].copy()
    hidden[100:160, 100:220] = 0
    frames[5] = hidden
    track = extract_clip(write_video(tmp_path / "bar.mp4", frames), ExtractConfig(), model_paths).track
    assert track.detector[:5] + track.detector[6:] == ["blazeface"] * 11
    assert track.detector[5] in ("tracker", None)
    expected = (track.box[4] + track.box[6]) / 2
    assert np.abs(track.box[5] - expected).max() < 12


def test_crops_shake_less_than_their_landmarks(sample_clips, model_paths):
    clip = extract_clip(sample_clips / "1001_DFA_NEU_XX.flv", ExtractConfig(), model_paths)
    track = clip.track
    raw = np.stack([align.estimate_similarity(a, "similarity", 128, 0.1) for a in
                    align.find_anchors(track.landmarks, track.box, "similarity")])  # fmt: skip
    corner = np.array([200.0, 100.0])

    def shake(transforms):
        return np.diff([align.apply_transform(corner, m) for m in transforms], n=2, axis=0).std()

    assert shake(track.transform) < 0.6 * shake(raw)


def test_frames_without_the_face_get_an_interpolated_box_and_no_detector(
    moving_astronaut, write_video, tmp_path, model_paths
):
    frames = moving_astronaut(6)
    frames[2] = np.full_like(frames[2], 120)
    clip = extract_clip(write_video(tmp_path / "gap.mp4", frames), ExtractConfig(), model_paths)
    track = clip.track
    assert track.detector == ["blazeface", "blazeface", None, "blazeface", "blazeface", "blazeface"]
    assert track.score[2] is None
    np.testing.assert_allclose(track.box[2], (track.box[1] + track.box[3]) / 2)
    assert len(track.crops) == 6


def test_a_clip_without_a_face_has_the_status_no_face_and_its_facts(write_video, tmp_path, model_paths):
    noise = np.random.default_rng(0).integers(0, 255, (4, 120, 160, 3), np.uint8)
    clip = extract_clip(write_video(tmp_path / "noise.mp4", list(noise)), ExtractConfig(), model_paths)
    assert (clip.status, clip.reason) == ("no_face", "no face in any sampled frame")
    assert (clip.facts.width, clip.facts.frames, clip.track) == (160, 4, None)
    assert len(clip.fingerprint) == 64


def test_a_missing_file_and_a_broken_one_are_undecodable(tmp_path, model_paths):
    missing = extract_clip(tmp_path / "missing.mp4", ExtractConfig(), model_paths)
    assert (missing.status, missing.reason) == ("undecodable", "the file is missing")
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "2.jpg").symlink_to("nowhere")
    dangling = extract_clip(tmp_path / "frames", ExtractConfig(), model_paths)
    assert (dangling.status, dangling.reason) == ("undecodable", "its image 2.jpg is a broken link")
    (tmp_path / "text.mp4").write_text("not a video")
    broken = extract_clip(tmp_path / "text.mp4", ExtractConfig(), model_paths)
    assert broken.status == "undecodable" and "not a readable video" in broken.reason


def test_a_frame_folder_gives_what_its_video_gives(moving_astronaut, tmp_path, model_paths):
    frames = moving_astronaut(4)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{number:03}.png")
    track = extract_clip(tmp_path, ExtractConfig(), model_paths).track
    assert track.time_s == [None] * 4 and track.detector == ["blazeface"] * 4
