import re
from fractions import Fraction

import numpy as np
import pytest
from open_clip import open_clip
from PIL import Image

from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.video import frame_folder
from dfer.pipeline.video.clip_files import fingerprint
from dfer.pipeline.video.sampling import frames_to_keep, sample_positions
from dfer.pipeline.video.sources import DecodeError


@pytest.mark.parametrize("frames", [1, 3, 31, 32, 33, 67, 98, 5000])
@pytest.mark.parametrize("wanted", [1, 16, 32])
def test_sampled_frames_are_the_middles_of_equal_parts(frames, wanted):
    positions = sample_positions(frames, wanted)
    if frames <= wanted:
        assert positions == list(range(frames))
    else:
        shares = [(k + Fraction(1, 2)) * frames / wanted for k in range(wanted)]
        assert positions == [share.numerator // share.denominator for share in shares]


def test_a_video_gives_the_frames_and_times_that_pyav_gives(sample_clips):
    import av

    path = sample_clips / "1001_DFA_HAP_XX.flv"
    with av.open(str(path)) as container:
        reference = [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    source = open_clip(path)
    assert (source.facts.width, source.facts.height, source.facts.frames) == (480, 360, len(reference))
    positions = [0, 7, 8, 30, len(reference) - 1]
    for position, frame in zip(positions, source.read(positions), strict=True):
        difference = frame.astype(int) - reference[position][1].astype(int)
        assert np.abs(difference).mean() < 1  # the two convert YUV with different roundings
    np.testing.assert_allclose(
        source.times(positions), [reference[p][0] - reference[0][0] for p in positions], atol=2e-3
    )


def test_a_frame_folder_is_read_in_the_order_of_its_numbers_in_any_mode_and_size(tmp_path):
    Image.new("L", (40, 30), 50).save(tmp_path / "2.png")
    Image.new("RGBA", (20, 10), (200, 0, 0, 128)).save(tmp_path / "10.png")
    (tmp_path / "notes.txt").write_text("not a frame")
    source = open_clip(tmp_path)
    assert (source.facts.frames, source.facts.fps) == (2, None)
    first, second = source.read([0, 1])
    assert first.shape == (30, 40, 3) and second.shape == (10, 20, 3)
    assert (first == 50).all() and (second == (200, 0, 0)).all()


def test_each_image_of_a_frame_folder_is_decoded_at_most_once(tmp_path, monkeypatch):
    for number in range(4):
        Image.new("RGB", (40, 30)).save(tmp_path / f"{number}.png")
    decoded, real = [], frame_folder.read_image
    monkeypatch.setattr(
        frame_folder, "read_image", lambda path, name: decoded.append(path.name) or real(path, name)
    )
    assert len(list(open_clip(tmp_path).read([0, 2]))) == 2
    assert decoded == ["0.png", "2.png"]


def test_sixteen_bit_images_keep_their_greys_and_a_rotated_photo_is_turned_upright(tmp_path):
    grey = np.tile(np.linspace(0, 65535, 40).astype(np.uint16), (30, 1))
    Image.fromarray(grey).save(tmp_path / "0.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees clockwise to see it upright
    Image.new("RGB", (40, 30), (9, 9, 9)).save(tmp_path / "1.jpg", exif=exif)
    first, second = open_clip(tmp_path).read([0, 1])
    np.testing.assert_array_equal(first[..., 0], grey >> 8)
    assert second.shape == (40, 30, 3)


def test_the_fingerprint_depends_on_the_content_not_on_the_path(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.jpg").write_bytes(bytes([number]))
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")
    (tmp_path / "b" / "0.jpg").rename(tmp_path / "b" / "3.jpg")
    assert fingerprint(tmp_path / "a") != fingerprint(tmp_path / "b")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty"), (b"hello\n" * 500, "not a readable video"), (b"\0" * 5000, "not a readable video")],
)
def test_a_file_that_is_not_a_video_has_a_reason(tmp_path, content, reason):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(DecodeError, match=reason):
        open_clip(path)


def test_a_file_with_sound_only_has_its_own_reason(audio_only):
    with pytest.raises(DecodeError, match="no video stream"):
        open_clip(audio_only)


def saved(name, **how):
    def write(folder):
        Image.new("RGB", (40, 30)).save(folder / name, **how)
        return folder / name

    return write


def as_bytes(name, content):
    def write(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return write


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (as_bytes("clip.mp4", LFS), "a Git LFS pointer, not a video; run `git lfs pull`"),
        (
            as_bytes("clip.mp4", b"/annex/objects/MD5E-s1--0.mp4\n"),
            "a git-annex pointer, not a video; run .*",
        ),
        (as_bytes("clip.mp4", b"<!DOCTYPE html>\n<html>sign in</html>"), "a web page, not a video; .*"),
        (as_bytes("clip.mp4", b"PK\x03\x04" + bytes(100)), "an archive, not a video; unpack it"),
        *(
            (saved("clip.mp4", format=form), "a still image, not a video; give it the name of an image: .*")
            for form in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF")
        ),
    ],
)
def test_a_file_that_is_something_else_than_a_video_says_what_it_is(tmp_path, write, reason):
    with pytest.raises(DecodeError) as error:
        open_clip(write(tmp_path))
    assert re.fullmatch(reason, str(error.value))


def test_a_frame_folder_of_git_lfs_pointers_says_so(tmp_path):
    for number in range(2):
        as_bytes(f"{number}.jpg", LFS)(tmp_path)
    with pytest.raises(DecodeError, match=r"an image in the folder is a Git LFS pointer.*git lfs pull"):
        open_clip(tmp_path)


def test_jpegs_one_after_another_are_a_video(write_video, tmp_path):
    frames = [np.full((112, 128, 3), grey, np.uint8) for grey in (20, 200)]
    jpegs = []
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{number}.jpg")
        jpegs.append((tmp_path / f"{number}.jpg").read_bytes())
    path = tmp_path / "clip.mjpeg"
    path.write_bytes(b"".join(jpegs))
    source = open_clip(path)
    assert [round(frame.mean(), -1) for frame in source.read([0, 1])] == [20, 200]


@pytest.mark.parametrize("seconds, frames", [(3.0, 12), (0.01, 1), (1000.0, 40), (None, 40)])
def test_a_rate_keeps_frames_by_the_second_up_to_the_maximum(seconds, frames):
    assert frames_to_keep(seconds, ExtractConfig(frames=40, rate=4)) == frames
    assert frames_to_keep(seconds, ExtractConfig(frames=40)) == 40
