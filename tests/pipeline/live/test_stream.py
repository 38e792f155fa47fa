"""A played file: its frames come when they are due, are dropped where nobody takes them, and never queue."""

import os
import re
import signal
import time

import psutil
import pytest
from PIL import Image

from dfer import pipeline
from dfer.schemas.support.errors import UserError

FPS, FRAMES = 25, 75


@pytest.fixture(scope="module")
def video(moving_astronaut, write_video, tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("live") / "v.mp4", moving_astronaut(FRAMES))


def rest(stream):
    """What comes until the end."""
    while True:
        try:
            if found := stream.next():
                yield found
        except EOFError:
            return


def test_a_file_plays_at_its_own_speed_and_each_frame_is_searched_or_dropped(video):
    with pipeline.FaceStream(video) as stream:
        seen = [*rest(stream)]
    assert len(seen) + seen[-1].frame.dropped == FRAMES
    assert any(each.face for each in seen) and seen[0].frame.pixels.shape == (240, 320, 3)
    first, last = seen[0].frame, seen[-1].frame
    assert last.at - first.at >= last.seconds - first.seconds - 0.05


def test_a_slow_reader_gets_new_frames_and_not_a_queue(video):
    late = []
    with pipeline.FaceStream(video) as stream:
        for each in rest(stream):
            late.append(time.monotonic() - each.frame.at)
            time.sleep(0.4)
    assert each.frame.dropped > FRAMES / 2
    assert max(late[2:]) < 1.0  # one that was searched meanwhile; a queue would grow to 2 s and more


def test_a_source_that_cannot_be_read_is_one_line(astronaut, tmp_path):
    (tmp_path / "no.mp4").write_text("no video")
    Image.fromarray(astronaut).save(tmp_path / "still.jpg")
    for source, words in (
        (tmp_path / "no.mp4", "cannot be played"),
        (tmp_path / "still.jpg", "it is a still image, not a video"),
        (99, "camera 99 cannot be opened"),
        (10**20, "camera 100000000000000000000 cannot be opened"),
    ):
        with pipeline.FaceStream(source) as stream, pytest.raises(UserError, match=words):
            list(rest(stream))


def test_a_video_that_is_damaged_half_way_is_played_up_to_there(video, tmp_path):
    content = video.read_bytes()
    index = content.find(b"moov") - 8  # after the pictures
    (tmp_path / "v.mp4").write_bytes(content[: index // 2] + b"\xff" * (index - index // 2) + content[index:])
    with pipeline.FaceStream(tmp_path / "v.mp4") as stream, pytest.raises(UserError) as refused:
        for seen in rest(stream):
            last = seen.frame.seconds
    seconds = re.search(r"it is damaged from (\d\.\d) s on", str(refused.value))[1]
    assert last - 0.05 <= float(seconds) and 1 < float(seconds) < 2


def test_an_unknown_error_while_it_is_played_is_raised(tmp_path):
    with pipeline.FaceStream(tmp_path / "a\0.mp4") as stream, pytest.raises(ValueError, match="null byte"):
        list(rest(stream))


def test_a_process_that_dies_is_one_line_and_none_is_left_at_the_end(video):
    with pipeline.FaceStream(video) as stream:
        while not stream.next():
            pass
        (child,) = [
            p for p in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(p.cmdline())
        ]
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(UserError, match="ended"):
            list(rest(stream))
    assert not child.is_running()
