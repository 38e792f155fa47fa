"""`train live` with a played file: answers, frames, pace; and the answers are those of `train predict`."""

import json
import os
import signal
import subprocess

import made_up
import numpy as np
import psutil
import pytest
from PIL import Image

from dfer import pipeline, train
from dfer.pipeline.live.follow import LiveFace


@pytest.fixture(scope="module")
def video(moving_astronaut, write_video, tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("live") / "v.mp4", moving_astronaut(75))


def as_stream(cache: pipeline.OpenCache, clip: str) -> list[LiveFace]:
    """The frames of a clip of a cache as a stream gives them."""
    stored, frames = cache[clip], cache.frames(clip)
    scores = stored.blendshapes if stored.blendshapes is not None else [None] * len(frames)
    return [
        LiveFace(
            seconds=float(number),
            box=np.zeros(4),
            keypoints=stored.keypoints[number],
            crop=frames[number],
            crop_landmarks=stored.landmarks[number],
            crop_keypoints=stored.keypoints[number],
            blendshapes=scores[number],
        )
        for number in range(len(frames))
    ]


def test_a_stream_of_a_clips_frames_has_the_answer_of_the_clip(small_run, scored_cache):
    cache = pipeline.open_cache(scored_cache)
    clips = [clip for clip in cache if cache[clip].detected.all()]
    assert len(clips) > 2
    for predictor in (train.load(small_run), train.load("default")):
        answers = {each.clip: each.probabilities for each in predictor.predict(scored_cache)}
        for clip in clips:
            found = predictor.model.probabilities_of(as_stream(cache, clip))
            assert found.tolist() == pytest.approx([*answers[clip].values()], abs=2e-3)


@pytest.mark.parametrize("model", ["default", "run"])
def test_each_answer_is_a_line_and_each_frame_a_picture(cli, model, small_run, video, tmp_path):
    run = small_run if model == "run" else model
    outcome = cli("train", "live", run, video, "--window", 1, "--out", tmp_path / "out", "--json")
    assert outcome.returncode == 0, outcome.stderr
    pace, wrote = outcome.stderr.splitlines()
    answers = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert len(answers) > 3 and [a["seconds"] for a in answers] == sorted(a["seconds"] for a in answers)
    said = [answer for answer in answers if answer["predicted"]]
    assert all(sum(answer["probabilities"].values()) == pytest.approx(1) for answer in said) and said
    pictures = sorted((tmp_path / "out").iterdir())
    assert len(pictures) + answers[-1]["dropped"] <= 75 and {p.suffix for p in pictures} == {".jpg"}
    panel = np.asarray(Image.open(pictures[-1]))[:40, :40]
    assert (panel < 120).mean() > 0.3 and "frames/s searched" in pace
    assert wrote == f"wrote {len(pictures)} frames to {tmp_path / 'out'}"


def test_ctrl_c_ends_it_with_a_summary_and_leaves_no_process(program, video):
    command = [program("train"), "live", "default", video]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "frames/s" in process.stdout.readline()
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    summary, last = err.splitlines()
    assert (process.returncode, last) == (130, "train: interrupted") and "dropped" in summary
    assert children and not psutil.wait_procs(children, timeout=30)[1]


def test_what_cannot_be_shown_is_one_line(small_run, video, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    refused = made_up.refused
    assert "no such video" in refused("live", small_run, tmp_path / "none.mp4")
    assert "not empty" in refused("live", small_run, video, "--out", tmp_path)
    (tmp_path / "link").symlink_to("nowhere")
    for out, what in (
        ("mine.txt", "mine.txt is a file"),
        ("mine.txt/out", "mine.txt is a file"),
        ("link", "link is a link that leads nowhere"),
        ("link/out", "link is a link that leads nowhere"),
        ("a" * 300, "File name too long"),
    ):
        line = refused("live", small_run, video, "--out", tmp_path / out)
        assert f"{what}; give a" in line, line
    assert f"{tmp_path} is a folder; give a file" in refused("live", small_run, tmp_path)
    assert "is empty; give a video" in refused("live", small_run, "")
    assert "download the video first" in refused("live", small_run, "http://there/v.mp4")
    assert "--window 0" in refused("live", small_run, video, "--window", 0)
    assert "no camera has so large a number" in refused("live", "default", "9" * 20)
    assert "cannot be opened" in refused("live", "default", 99, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_video_of_one_frame_is_answered_also_where_the_display_cannot_be_reached(
    cli, write_video, moving_astronaut, tmp_path
):
    video = write_video(tmp_path / "v.mp4", moving_astronaut(1))
    outcome = cli("train", "live", "default", video, "--json", DISPLAY=":77")
    assert outcome.returncode == 0 and json.loads(outcome.stdout)["predicted"] == "happiness"
    note, pace = outcome.stderr.splitlines()
    assert note == "the display :77 cannot be opened, so there is no window"
    assert pace.startswith("1 frame, 0 dropped; 1 answer; ")
