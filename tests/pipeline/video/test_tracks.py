"""Which of a file's tracks is read, and what is said about it."""

import av
import numpy as np
import pytest
from av.stream import Disposition
from open_clip import open_clip

from dfer.pipeline.video.sources import DecodeError

INTERLACED = 1 << 18 | 1 << 29  # FFmpeg's flags: encode fields, and estimate motion in fields


def write(path, *tracks, disposition=(), codec="mpeg4", flags=0, options=None):
    """Write a file. tracks: for each its frames; disposition: of each [default: the muxer's]."""
    with av.open(str(path), "w") as container:
        streams = []
        for number, frames in enumerate(tracks):
            picture = number < len(disposition) and disposition[number] == Disposition.attached_pic
            stream = container.add_stream("mjpeg" if picture else codec, rate=25, options=options or {})
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuvj420p" if picture else "yuv420p"
            stream.codec_context.flags |= flags
            if number < len(disposition):
                stream.disposition = disposition[number]
            streams.append(stream)
        for stream, frames in zip(streams, tracks, strict=True):
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode(None))
    return path


def plain(grey, width, height, frames=10):
    return [np.full((height, width, 3), grey, np.uint8)] * frames


def grey_of(source):
    (frame,) = source.read([source.facts.frames // 2])
    return round(frame.mean(), -1)


@pytest.mark.parametrize("cover_first", [True, False])
def test_a_cover_picture_is_not_read_as_the_video(tmp_path, cover_first):
    tracks = [plain(200, 640, 480, 1), plain(50, 128, 112)]
    kinds = [Disposition.attached_pic, Disposition.default]
    order = 1 if cover_first else -1
    path = write(tmp_path / "clip.mp4", *tracks[::order], disposition=kinds[::order])
    source = open_clip(path)
    assert (source.facts.frames, source.facts.width, grey_of(source)) == (10, 128, 50)
    assert source.facts.warning is None


def test_a_file_of_sound_and_a_cover_has_no_video_stream(tmp_path):
    path = write(tmp_path / "clip.mp4", plain(200, 64, 64, 1), disposition=[Disposition.attached_pic])
    with pytest.raises(DecodeError, match="no video stream"):
        open_clip(path)


DEFAULT, NONE = Disposition.default, Disposition(0)


@pytest.mark.parametrize(
    ("name", "disposition", "grey"),
    [
        ("largest.mkv", [DEFAULT, DEFAULT], 200),
        ("largest.mp4", [DEFAULT, DEFAULT], 200),
        ("first.mkv", [DEFAULT, NONE], 50),
        ("second.mkv", [NONE, DEFAULT], 200),
    ],
)
def test_of_two_video_tracks_the_default_then_the_largest_is_read_with_a_warning(
    tmp_path, name, disposition, grey
):
    tracks = plain(50, 128, 112), plain(200, 256, 224)
    source = open_clip(write(tmp_path / name, *tracks, disposition=disposition))
    assert grey_of(source) == grey
    assert source.facts.warning.startswith("one of 2 video tracks was read")


def test_a_single_picture_that_is_not_marked_as_a_cover_is_not_read_as_the_video(tmp_path):
    source = open_clip(write(tmp_path / "clip.mp4", plain(200, 256, 224, 1), plain(50, 128, 112)))
    assert (source.facts.frames, grey_of(source)) == (10, 50)


@pytest.mark.parametrize(
    ("name", "codec", "interlaced"),
    [
        ("a.mp4", "mpeg4", {"flags": INTERLACED}),
        ("a.avi", "mpeg4", {"flags": INTERLACED}),
        ("a.mpg", "mpeg2video", {"flags": INTERLACED}),
        ("a.mkv", "libx264", {"options": {"x264-params": "tff=1"}}),
    ],
)
def test_an_interlaced_video_has_a_warning(tmp_path, name, codec, interlaced):
    for how in ({}, interlaced):
        warning = open_clip(write(tmp_path / name, plain(50, 128, 112), codec=codec, **how)).facts.warning
        assert (warning or "").startswith("the video is interlaced: a frame mixes two moments") == bool(how)
