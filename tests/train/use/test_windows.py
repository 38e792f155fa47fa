"""Predictions over time: windows equal clips of their frames, share what is computed of a frame, and are drawn."""

import json
import os
import signal
import subprocess
import time

import av
import made_up
import numpy as np
import polars as pl
import pytest
import torch
from made_up import refused
from PIL import Image

from dfer import train
from dfer.schemas.cache import SHARD_FILES
from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import open_pool
from dfer.train.engine import checkpoint
from dfer.train.engine.forward import predict_clips
from dfer.train.models.resnet import ResNet18
from dfer.train.use.over_time.annotate import annotate_video
from dfer.train.use.over_time.timeline import timelines
from dfer.train.use.over_time.windows import window_rows

FPS, FRAMES = 25, 75  # three seconds


@pytest.fixture(scope="module")
def talking(moving_astronaut, tmp_path_factory):
    """Three seconds of a face with a tone, whose frames have an odd width."""
    path = tmp_path_factory.mktemp("talking") / "talking.mkv"
    with av.open(str(path), "w") as out:
        video, sound = (
            out.add_stream("ffv1", rate=FPS),
            out.add_stream("pcm_s16le", rate=44_100, layout="mono"),
        )
        video.width, video.height, video.pix_fmt = 319, 240, "bgr0"
        for pixels in moving_astronaut(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:, :319]), format="rgb24")
            out.mux(video.encode(frame.reformat(format="bgr0")))
        tone = (8000 * np.sin(np.arange(3 * 44_100) * 2 * np.pi * 440 / 44_100)).astype(np.int16)
        samples = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        samples.rate = 44_100
        for stream, frames in ((sound, [samples, None]), (video, [None])):
            for each in frames:
                out.mux(stream.encode(each))
    return path


@pytest.fixture(scope="module")
def over_time(cli, small_run, talking, tmp_path_factory):
    """One real call that writes all there is of a video: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("over-time")
    drawn = ("--plot", folder / "t.html", "--annotate", folder / "a.mp4", "--keep", folder / "kept")
    outcome = cli("train", "predict", small_run, talking, "--window", 1, "--step", 0.5, *drawn, "--json")
    assert outcome.returncode == 0, outcome.stderr
    return folder, json.loads(outcome.stdout)["clips"]


def test_windows_have_the_answers_of_their_frames_predicted_alone(small_run, sample_cache):
    predictor, saved = train.load(small_run), checkpoint.load(small_run / "last.pt")
    clips = {each.clip: each.times for each in predictor.predict(sample_cache)}
    pool = open_pool(sample_cache)
    rows = window_rows(pool.clips, clips, train.Windows(seconds=0.8, step=0.2))
    found = predictor.predict(sample_cache, windows=train.Windows(seconds=0.8, step=0.2))
    assert len(found) == len(rows) > 3 * len(clips)
    assert len({each.probabilities["anger"] for each in found}) > len(found) / 2
    network, device = checkpoint.restore(saved), torch.device("cpu")
    for number, each in enumerate(found):
        alone = predict_clips(network, pool, rows[number : number + 1], saved.config, device)
        assert [*each.probabilities.values()] == pytest.approx(alone[0].tolist(), abs=1e-6)
        assert each.times == clips[each.clip][rows["first_frame"][number] : rows["end_frame"][number]]


def test_a_window_as_long_as_the_clip_has_the_answer_of_the_clip(small_run, sample_cache):
    predictor = train.load(small_run)
    plain, found = (
        predictor.predict(sample_cache),
        predictor.predict(sample_cache, windows=train.Windows(seconds=9)),
    )
    assert [each.clip for each in found] == [each.clip for each in plain]
    for each, clip in zip(found, plain, strict=True):
        assert each.probabilities == pytest.approx(clip.probabilities, abs=1e-6)
        assert each.start_s == 0 < each.end_s < 9


def test_windows_of_the_small_model_have_the_answers_of_their_frames(talking, tmp_path):
    predictor, windows = train.load("default"), train.Windows(seconds=1, step=0.5)
    found = predictor.predict(talking, windows=windows, keep=tmp_path / "kept", workers=1)
    assert [each.start_s for each in found] == [0, 0.5, 1, 1.5, 2]
    table = pl.read_parquet(tmp_path / "kept" / SHARD_FILES["landmarks"].format(0)).sort("frame")
    scores, points = table["blendshapes"].to_numpy(), table["landmarks"].to_numpy()
    detected = table["detector"].is_not_null().to_numpy()
    for each in found:
        inside = np.isin(table["time_s"].to_numpy().round(6), each.times)
        expected = predictor.model.clip_probabilities(scores[inside], points[inside], detected[inside])
        assert [*each.probabilities.values()] == pytest.approx(expected.tolist(), abs=1e-4)
        assert 15 <= inside.sum() <= 17


def test_overlapping_windows_compute_each_frame_once(small_run, sample_cache):
    images = []

    def count(module, inputs):
        if isinstance(module, ResNet18):
            images[-1] += len(inputs[0])

    with torch.nn.modules.module.register_module_forward_pre_hook(count):
        for step in (0.8, 0.2):
            images.append(0)
            train.load(small_run).predict(sample_cache, windows=train.Windows(seconds=0.8, step=step))
    apart, overlapping = images
    assert 0 < overlapping <= 1.05 * apart


def test_a_video_is_extracted_with_the_frames_of_a_window_for_each_window(over_time, small_run):
    folder, clips = over_time
    settings = json.loads((folder / "kept" / "cache.json").read_text())["settings"]
    frames = checkpoint.load(small_run / "last.pt").config.data.num_frames
    assert settings["rate"] == frames / 1
    (kept,) = pl.read_parquet(folder / "kept" / "clips.parquet")["frames"]
    assert kept == 3 * frames
    assert [(clip["start_s"], clip["end_s"]) for clip in clips] == [
        (0, 1),
        (0.5, 1.5),
        (1, 2),
        (1.5, 2.5),
        (2, 3),
    ]
    assert all(sum(clip["probabilities"].values()) == pytest.approx(1) for clip in clips)


def test_the_table_says_when_each_window_is(here, over_time, small_run):
    folder, _ = over_time
    outcome = here("train", "predict", small_run, folder / "kept", "--window", 1, "--plot", folder / "t.png")
    assert outcome.returncode == 0 and "0.25 – 1.25" in outcome.stdout
    width, height = Image.open(folder / "t.png").size
    assert width > 600 and height > 400


def test_lines_are_drawn_at_the_middle_of_each_window(over_time, small_run):
    folder, clips = over_time
    found = train.load(small_run).predict(
        folder / "kept", windows=train.Windows(seconds=1, step=0.5), faces=True
    )
    (timeline,) = timelines(found)
    assert timeline.middles.tolist() == [0.5, 1.0, 1.5, 2.0, pytest.approx(2.5, abs=0.02)]
    assert timeline.edges[0, 0] == 0 and timeline.end == clips[-1]["end_s"]
    for moment, number in ((0, 0), (0.74, 0), (0.76, 1), (2.9, 4), (9, 4)):
        assert timeline.at(moment) is found[number]


def test_a_window_longer_than_the_video_is_noted(small_run, talking):
    notes = []
    watch = train.Watch(on_note=notes.append)
    train.load(small_run).predict(talking, windows=train.Windows(seconds=30), watch=watch)
    assert [note for note in notes if "shorter than a window (3.0 s)" in note and "expect" in note]


def test_drawing_shows_how_many_frames_there_are(small_run, talking, tmp_path):
    """Matroska does not count them."""
    asked = []
    watch = train.Watch(on_clips=lambda doing, count: asked.append((doing, count)))
    predictor = train.load(small_run)
    found = predictor.predict(talking, windows=train.Windows(seconds=1), faces=True)
    annotate_video(talking, timelines(found), tmp_path / "a.mp4", watch)
    assert asked == [("drawing frames", FRAMES)]


def test_the_page_has_chart_and_crops_and_loads_nothing(over_time):
    folder, _ = over_time
    page = (folder / "t.html").read_text()
    assert page.count("data:image/png") == 1 and page.count("data:image/jpeg") >= 8
    assert "talking.mkv" in page and "http:" not in page and "https:" not in page and "<script" not in page


def test_the_annotated_video_has_all_frames_in_time_with_their_sound(over_time, talking):
    folder, _ = over_time
    with av.open(str(folder / "a.mp4")) as found, av.open(str(talking)) as given:
        (video,), (sound,) = found.streams.video, found.streams.audio
        assert (video.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert (video.width, video.height) == (320, 240)
        assert float(sound.duration * sound.time_base) == pytest.approx(3, abs=0.1)
        frames, originals = [*found.decode(video=0)], [*given.decode(video=0)]
    assert np.allclose([f.time for f in frames], [f.time for f in originals], atol=0.002)
    drawn, before = (each[40].to_ndarray(format="rgb24").astype(int) for each in (frames, originals))
    changed = np.abs(drawn[:, :319] - before).max(2) > 60
    assert changed[:60, :60].mean() > 0.3  # the panel
    assert 0.002 < changed[130:].mean() < 0.2  # box and points, and nothing else


def test_a_turned_video_without_sound_is_drawn_upright(small_run, moving_astronaut, write_video, tmp_path):
    upright = write_video(tmp_path / "u.mp4", moving_astronaut(12))
    turned = tmp_path / "t.mp4"
    with av.open(str(upright)) as source, av.open(str(turned), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    content = turned.read_bytes()
    place = content.index(b"tkhd") + 44  # the track's matrix: turned by 90 degrees
    matrix = np.array([0, 1 << 16, 0, -(1 << 16), 0, 0, 240 << 16, 0, 1 << 30], ">i4").tobytes()
    turned.write_bytes(content[:place] + matrix + content[place + 36 :])
    outcome = made_up.train("predict", small_run, turned, "--annotate", tmp_path / "a.mp4", "--workers", 1)
    assert outcome.exit_code == 0, outcome.output
    with av.open(str(tmp_path / "a.mp4")) as found:
        assert (found.streams.video[0].width, found.streams.video[0].height) == (240, 320)
        assert len(found.streams.audio) == 0 and len([*found.decode(video=0)]) == 12


def test_an_interrupted_drawing_leaves_no_file(program, small_run, talking, tmp_path):
    target = tmp_path / "a.mp4"
    command = [program("train"), "predict", small_run, talking, "--annotate", target, "--workers", "1"]
    process = subprocess.Popen(
        command, env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE, text=True
    )
    while not list(tmp_path.glob(".a.mp4*")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err.splitlines()[-1]) == (130, "train: interrupted")
    assert list(tmp_path.iterdir()) == []


def test_frames_without_times_are_one_window_and_a_sparse_cache_is_noted(small_run, sample_cache):
    pool = open_pool(sample_cache)
    times = dict.fromkeys(pool.clips["clip_id"], (None,) * 32)
    rows = window_rows(pool.clips, times, train.Windows(seconds=0.5))
    assert len(rows) == len(pool.clips) and rows["start_s"].null_count() == len(rows)
    notes = []
    train.load(small_run).predict(
        sample_cache, windows=train.Windows(seconds=0.1), watch=train.Watch(on_note=notes.append)
    )
    assert "frames a second" in notes[0] and "--rate" in notes[0]


def test_windows_without_a_face_are_rows_with_a_reason_and_are_drawn_as_such(
    small_run, moving_astronaut, write_video, tmp_path
):
    frames = moving_astronaut(50)
    video = write_video(tmp_path / "v.mp4", [*frames, *[np.zeros_like(frames[0])] * 50])
    choice = ("--window", 0.5, "--step", 0.5, "--workers", 1, "--annotate", tmp_path / "a.mp4", "--json")
    outcome = made_up.train("predict", small_run, video, *choice, "--plot", tmp_path / "p.png")
    assert outcome.exit_code == 0, outcome.output
    clips = json.loads(outcome.stdout)["clips"]
    assert [clip["status"] for clip in clips] == ["ok"] * 4 + ["no_face"] * 4
    assert clips[-1]["reason"] == "no face in this window" and clips[-1]["probabilities"] is None
    with av.open(str(tmp_path / "a.mp4")) as found:
        frames = [frame.to_ndarray(format="gray") for frame in found.decode(video=0)]
    seen, unseen = frames[20], frames[90]
    assert (unseen[:60] > 128).any() and (unseen[100:, 200:] < 40).all()  # only the words
    assert (seen[:60, :60] < 128).mean() > 0.5


def test_wrong_windows_and_files_are_one_line(small_run, sample_cache, talking, tmp_path):
    predict = ("predict", small_run, sample_cache)
    assert "--window 0" in refused(*predict, "--window", 0)
    assert "--window inf" in refused(*predict, "--window", "inf")
    assert "--step 2" in refused(*predict, "--window", 1, "--step", 2)
    assert "--window 2" in refused(*predict, "--step", 1)
    assert ".png or .html" in refused(*predict, "--plot", tmp_path / "p.gif")
    assert "must end in .mp4" in refused(*predict, "--annotate", tmp_path / "a.avi")
    (tmp_path / "other.html").write_text("<p>mine</p>")
    assert "other.html exists" in refused(*predict, "--plot", tmp_path / "other.html")
    assert "give its file alone" in refused(*predict[:2], sample_cache, "--annotate", tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()
    with pytest.raises(UserError, match="--step"):
        train.Windows(seconds=1, step=0)
