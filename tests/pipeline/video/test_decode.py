import re
import subprocess
import sys
import weakref

import av
import decord
import numpy as np
import pytest
from open_clip import open_clip
from PIL import Image

from dfer.pipeline.clip import extract_clip, warm_up
from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.video import decode
from dfer.pipeline.video.container import Packets, describe_damage
from dfer.pipeline.video.sampling import sample_positions
from dfer.pipeline.video.sources import DecodeError

FRAMES = 30
BITS = 5
WIDTH, HEIGHT = 128, 112


def numbered(frames):
    """Frames whose number is written into their upper edge as black and white blocks of 16 px."""
    made = []
    for number, frame in enumerate(frames):
        frame = frame.copy()
        frame[:16] = 0
        for bit in range(BITS):
            frame[:16, 16 * bit : 16 * (bit + 1)] = 255 * (number >> bit & 1)
        made.append(frame)
    return made


def number_of(frame):
    return sum(int(frame[4:12, 16 * bit + 4 : 16 * bit + 12].mean() > 127) << bit for bit in range(BITS))


@pytest.fixture(scope="module")
def make(moving_astronaut, tmp_path_factory):
    """Encode FRAMES numbered frames: make(name, codec, pix_fmt, b_frames, frame → time in ms)."""
    import fractions

    pictures = (Image.fromarray(frame).resize((WIDTH, HEIGHT)) for frame in moving_astronaut(FRAMES))
    frames = numbered(map(np.array, pictures))
    folder = tmp_path_factory.mktemp("videos")

    def write(name, codec, pix_fmt="yuv420p", b_frames=0, due=None):
        path = folder / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=1000 if due else 25)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt, stream.bit_rate = pix_fmt, 3_000_000
            stream.codec_context.max_b_frames = b_frames
            for number, frame in enumerate(frames):
                picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
                if due:
                    picture.pts, picture.time_base = due(number), fractions.Fraction(1, 1000)
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        return path

    return write


def read(path, wanted=8):
    source = open_clip(path)
    positions = sample_positions(source.facts.frames, wanted)
    return source, positions, list(source.read(positions))


KINDS = {
    "h264.mp4": ("libx264", "yuv420p", 3),
    "hevc.mp4": ("libx265", "yuv420p", 2),
    "vp8.webm": ("libvpx", "yuv420p", 0),
    "mpeg4.avi": ("mpeg4", "yuv420p", 0),
    "cinepak.avi": ("cinepak", "rgb24", 0),
    "picture.gif": ("gif", "rgb8", 0),
    "grey.mkv": ("ffv1", "gray", 0),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_right_frames_are_sampled_from_every_kind_of_video(make, name):
    source, positions, frames = read(make(name, *KINDS[name]))
    assert isinstance(source, decode.SeekingVideo) and source.facts.warning is None
    assert source.facts.frames == FRAMES
    assert [number_of(frame) for frame in frames] == positions


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_an_avi_with_reordered_frames_is_decoded_in_order(make, codec):
    source, positions, frames = read(make(f"{codec}_reordered.avi", codec, "yuv420p", 2))
    assert source.facts.warning == (
        "the decoder's frame times differ from the container's; all frames were decoded in order"
    )
    assert [number_of(frame) for frame in frames] == positions
    # For H.264 the container has the stamps in the order of decoding.
    np.testing.assert_allclose(source.times(positions), [p / 25 for p in positions])


@pytest.fixture
def decoded(monkeypatch):
    """The frames that SequentialVideo decodes, as they are decoded."""
    frames, decode_frames = [], decode.SequentialVideo._decode

    def counted(self):
        for frame in decode_frames(self):
            frames.append(frame)
            yield frame

    monkeypatch.setattr(decode.SequentialVideo, "_decode", counted)
    return frames


def test_decoding_in_order_stops_after_the_last_frame_wanted(make, decoded):
    source = decode.SequentialVideo(make("in_order.mp4", "mpeg4"), "")
    assert len(decoded) == FRAMES
    decoded.clear()
    assert [number_of(frame) for frame in source.read([3, 10])] == [3, 10]
    assert len(decoded) == 11
    decoded.clear()
    assert list(source.read([])) == []
    assert decoded == []


@pytest.fixture
def seeking_refused(monkeypatch):
    """Videos are decoded in order; the list of weak references to the readers that were refused."""
    refused = []

    def mismatch(self, track):
        refused.append(weakref.ref(self))
        return "not trusted"

    monkeypatch.setattr(decode.SeekingVideo, "mismatch", mismatch)
    return refused


def test_a_clip_decoded_in_order_is_decoded_once_to_count_and_once_to_sample(
    astronaut_video, decoded, seeking_refused, model_paths
):
    clip = extract_clip(astronaut_video, ExtractConfig(frames=4), model_paths)
    assert clip.track.source_frame == [1, 4, 7, 10] and clip.track.detector == ["blazeface"] * 4
    assert len(decoded) == 12 + 11


def test_a_refused_reader_is_closed_before_the_clip_is_decoded_in_order(
    astronaut_video, seeking_refused, monkeypatch, model_paths
):
    # decord keeps decoding in the background: an open reader of a 1080p clip grows to gigabytes.
    open_in_order, closed = decode.SequentialVideo.__init__, []

    def opened(self, path, warning):
        closed.extend(reader() is None for reader in seeking_refused)
        open_in_order(self, path, warning)

    monkeypatch.setattr(decode.SequentialVideo, "__init__", opened)
    assert extract_clip(astronaut_video, ExtractConfig(frames=1), model_paths).status == "ok"
    assert closed == [True]


@pytest.fixture(scope="module")
def trimmed(moving_astronaut, tmp_path_factory):
    """A 720p MP4, and the same packets with an edit list that hides the first frames."""
    pictures = [Image.fromarray(frame).resize((1280, 720)) for frame in moving_astronaut(8)]
    folder = tmp_path_factory.mktemp("trimmed")

    def write(name, hidden):
        with av.open(str(folder / name), "w", options={"avoid_negative_ts": "disabled"}) as container:
            stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
            for number in range(80):
                frame = av.VideoFrame.from_image(pictures[number % 8])
                frame.pts = number - hidden
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return folder / name

    return write("full.mp4", 0), write("trimmed.mp4", 20)


PEAK_OF_A_CLIP = """
import resource, sys
from pathlib import Path
from dfer.pipeline.clip import extract_clip, warm_up, warm_up
from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.setup.models import obtain_all
config, models = ExtractConfig(frames=8), obtain_all()
warm_up(config, models)
clip = extract_clip(Path(sys.argv[1]), config, models)
print(clip.status, clip.facts.frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_trimmed_clip_takes_no_more_memory_than_one_that_is_not(trimmed):
    peaks = []
    for path, frames in zip(trimmed, (80, 60), strict=True):
        command = [sys.executable, "-c", PEAK_OF_A_CLIP, str(path)]
        outcome = subprocess.run(command, capture_output=True, text=True, check=True)
        status, found, peak = outcome.stdout.split()
        assert (status, int(found)) == ("ok", frames)
        peaks.append(int(peak))
    assert peaks[1] < 1.2 * peaks[0]


def test_a_reader_is_refused_before_it_decodes_anything(trimmed):
    # From its first frame on, decord decodes in the background.
    path, opened = trimmed[1], []

    class Reader(decord.VideoReader):
        def __getitem__(self, position):
            opened.append(position)
            return super().__getitem__(position)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decord, "VideoReader", Reader)
        source = open_clip(path)
    assert isinstance(source, decode.SequentialVideo) and not opened


def test_sound_frames_that_decord_rejects_by_chance_are_read_with_a_new_reader(make, monkeypatch):
    # As its threads do after a seek in some HEVC videos, on a busy machine in about half of all runs.
    readers = []

    class Reader(decord.VideoReader):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            readers.append(self)

        def __getitem__(self, position):
            if self is readers[0] and position > 10:
                raise decord.DECORDError("avcodec_send_packet >= 0 (-11 vs. 0) Error sending packet.")
            return super().__getitem__(position)

    monkeypatch.setattr(decord, "VideoReader", Reader)
    source, positions, frames = read(make("h264.mp4", "libx264", "yuv420p", 3))
    assert [number_of(frame) for frame in frames] == positions and len(readers) == 2
    assert isinstance(source, decode.SeekingVideo) and source.facts.warning is None


def test_frames_hidden_by_an_edit_list_are_not_called_missing(make, tmp_path):
    content = bytearray(make("edited.mp4", "mpeg4").read_bytes())
    entry = content.index(b"elst") + 12
    # The edit starts behind the second key frame, so FFmpeg reads no packet of the first twelve.
    content[entry + 4 : entry + 8] = (15 * 512).to_bytes(4, "big")
    (tmp_path / "edited.mp4").write_bytes(content)
    source, positions, frames = read(tmp_path / "edited.mp4")
    assert source.facts.frames == 15 and "cut off" not in source.facts.warning
    assert [number_of(frame) - 15 for frame in frames] == positions


def test_a_reader_that_fails_in_the_middle_is_closed_before_the_clip_is_decoded_in_order(
    make, tmp_path, monkeypatch, model_paths
):
    content = bytearray(make("zeroed.mp4", "libx264").read_bytes())
    half, most = len(content) // 2, len(content) * 4 // 5
    content[half:most] = bytes(most - half)
    (tmp_path / "zeroed.mp4").write_bytes(content)
    readers, closed = [], []
    open_seeking, open_in_order = decode.SeekingVideo.__init__, decode.SequentialVideo.__init__

    def opened(self, *arguments, **named):
        readers.append(weakref.ref(self))
        open_seeking(self, *arguments, **named)

    def opened_second(self, *arguments):
        closed.extend(reader() is None for reader in readers)
        open_in_order(self, *arguments)

    monkeypatch.setattr(decode.SeekingVideo, "__init__", opened)
    monkeypatch.setattr(decode.SequentialVideo, "__init__", opened_second)
    warm_up(ExtractConfig(frames=8), model_paths)  # as a worker: MediaPipe keeps what calls its first import
    extract_clip(tmp_path / "zeroed.mp4", ExtractConfig(frames=8), model_paths)
    assert closed == [True]


def without_time_stamp(path, number):
    """The same transport stream, where one packet of the video has no presentation time."""
    content = bytearray(path.read_bytes())
    packet = [found.start() for found in re.finditer(rb"\x00\x00\x01\xe0", content)][number]
    content[packet + 7] &= 0x3F  # the flags: neither PTS nor DTS
    length = content[packet + 8]
    content[packet + 9 : packet + 9 + length] = b"\xff" * length
    other = path.with_name(f"without_{number}.ts")
    other.write_bytes(content)
    return other


def test_a_missing_time_stamp_is_interpolated_and_the_others_are_kept(make):
    path = without_time_stamp(make("stamped.ts", "libx264", "yuv420p", 2), 12)
    with av.open(str(path)) as container:
        assert [frame.time for frame in container.decode(video=0)].count(None) == 1
    source, positions, frames = read(path, FRAMES)
    assert [number_of(frame) for frame in frames] == positions
    np.testing.assert_allclose(source.times(positions), [p / 25 for p in positions])
    assert source.facts.warning == (
        f"1 of {FRAMES} frames has no time stamp; all frames were decoded in order"
    )


@pytest.mark.parametrize(
    ("stamps", "rate", "times"),
    [
        ([5.0, 5.1, None, None, 5.4], None, [0, 0.1, 0.2, 0.3, 0.4]),
        ([None, 5.1, 5.2, None], 10, [0, 0.1, 0.2, 0.3]),
        ([None, 5.1, 5.2], None, [0, 0.1, 0.2]),
        ([None, None, None], 10, [0, 0.1, 0.2]),
    ],
)
def test_missing_time_stamps_follow_their_neighbours_then_the_frame_rate(stamps, rate, times):
    np.testing.assert_allclose(decode.frame_times(stamps, rate), times, atol=1e-12)


def test_without_time_stamps_and_frame_rate_no_frame_has_a_time():
    assert decode.frame_times([None, None], None) is None


def test_a_variable_frame_rate_keeps_frames_and_times(make):
    def due(number):
        return 40 * number + (20 if number % 2 else 0) + (700 if number > 20 else 0)

    source, positions, frames = read(make("variable.mp4", "libx264", "yuv420p", 2, due))
    assert [number_of(frame) for frame in frames] == positions
    np.testing.assert_allclose(source.times(positions), [due(p) / 1000 for p in positions], atol=2e-3)


@pytest.mark.parametrize("width", [48, 96, 144])
def test_narrow_videos_that_decord_misreads_are_decoded_in_order(write_video, tmp_path, width):
    grey = [np.full((112, width, 3), value, np.uint8) for value in (50, 200)]
    source, _, frames = read(write_video(tmp_path / "narrow.mp4", grey))
    assert [frame.shape for frame in frames] == [(112, width, 3)] * 2
    assert [round(frame.mean(), -1) for frame in frames] == [50, 200]
    if width == 48:  # decord reads the wider ones right on a CPU without AVX-512
        assert source.facts.warning == "the decoder cannot decode the file; all frames were decoded in order"


def test_seeking_and_decoding_in_order_give_the_same_frames_and_times(sample_clips):
    path = sample_clips / "1001_DFA_SAD_XX.flv"
    one, other = decode.SeekingVideo(path), decode.SequentialVideo(path, "")
    positions = [0, 9, 10, 44]
    for mine, theirs in zip(one.read(positions), other.read(positions), strict=True):
        assert np.abs(mine.astype(int) - theirs.astype(int)).mean() < 1
    np.testing.assert_allclose(one.times(positions), other.times(positions), atol=2e-3)
    assert one.facts.frames == other.facts.frames


def test_a_cut_off_file_is_reported_with_the_number_of_missing_frames(make, tmp_path):
    content = make("whole.avi", "mpeg4").read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: len(content) // 2])
    source, positions, frames = read(tmp_path / "cut.avi")
    assert re.fullmatch(
        rf"the file is cut off: it has \d+ of the {FRAMES} frames in its header", source.facts.warning
    )
    assert source.facts.frames < FRAMES and len(frames) == len(positions)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_cut_off_flv_is_reported_though_its_header_counts_no_frames(sample_clips, tmp_path, share):
    content = (sample_clips / "1001_DFA_HAP_XX.flv").read_bytes()
    (tmp_path / "cut.flv").write_bytes(content[: int(share * len(content))])
    source, _, _ = read(tmp_path / "cut.flv")
    assert re.fullmatch(r"the file is cut off: its last \d\.\d\d s are missing", source.facts.warning)
    assert source.facts.frames < 56


def test_a_missing_time_stamp_does_not_hide_that_a_file_is_cut_off():
    times = np.array([0, 0.04, 0.08, np.nan])
    packets = Packets(times=times, stated=0, discarded=0, missing_s=1.5)
    assert "its last 1.50 s are missing" in describe_damage(packets)


@pytest.mark.parametrize("name", ["slow.flv", "slow.mkv", "slow.wmv", "held.mkv"])
def test_a_complete_file_with_a_long_last_frame_is_not_called_cut_off(make, name):
    due = {"slow": lambda n: 1000 * n, "held": lambda n: 40 * n + 900 * (n > 10)}[name.split(".")[0]]
    codec = {"flv": "flv1", "mkv": "mpeg4", "wmv": "wmv2"}[name.split(".")[1]]
    source, _, _ = read(make(name, codec, due=due))
    assert source.facts.warning is None


def test_a_cut_off_file_that_is_decoded_in_order_is_reported(make, tmp_path):
    content = make("mpeg4_reordered.avi", "mpeg4", "yuv420p", 2).read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: len(content) * 2 // 3])
    source, _, _ = read(tmp_path / "cut.avi")
    assert isinstance(source, decode.SequentialVideo)
    assert re.match(
        rf"the file is cut off: it has \d+ of the {FRAMES} frames in its header; .*in order$",
        source.facts.warning,
    )


@pytest.mark.parametrize("kept", [100, 3000])
def test_a_file_without_its_index_is_undecodable(make, tmp_path, kept):
    (tmp_path / "cut.mp4").write_bytes(make("short.mp4", "libx264").read_bytes()[:kept])
    with pytest.raises(DecodeError, match="not a readable video file"):
        open_clip(tmp_path / "cut.mp4")


@pytest.mark.parametrize("broken", [0, 5])
def test_a_damaged_frame_costs_that_frame_and_is_counted(make, tmp_path, broken):
    path = make("mjpeg.avi", "mjpeg", "yuvj420p")
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    content = bytearray(path.read_bytes())
    start, size = packets[broken]
    content[start + 8 : start + size] = bytes(size - 8)
    (tmp_path / "damaged.avi").write_bytes(content)
    source = decode.SequentialVideo(tmp_path / "damaged.avi", "decoded in order")
    assert source.facts.warning == "1 frame could not be decoded; decoded in order"
    numbers = [number_of(frame) for frame in source.read(range(source.facts.frames))]
    assert numbers == [n for n in range(FRAMES) if n != broken]


def test_a_stream_that_begins_after_the_header_does_not_stop_the_extraction(make, tmp_path, model_paths):
    # FFmpeg finds the sound, which the header of the FLV does not announce, after the list of streams was made.
    content = make("silent.flv", "flv1").read_bytes()
    video = content + content[13:] * (
        6_000_000 // len(content)
    )  # more than FFmpeg reads when it opens a file
    payload = bytes([0x2E]) + bytes(400)  # MP3
    sound = b"\x08" + len(payload).to_bytes(3, "big") + bytes(7) + payload
    (tmp_path / "late.flv").write_bytes(video + sound + (len(sound)).to_bytes(4, "big") + content[13:])
    clip = extract_clip(tmp_path / "late.flv", ExtractConfig(frames=2), model_paths)
    assert clip.status in ("ok", "no_face", "undecodable") and "Error" not in (clip.reason or "")
