"""`train predict`: any mix of inputs gets one answer or reason each, and nothing temporary stays."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import made_up
import numpy as np
import polars as pl
import pytest
import torch
from linked_copy import linked_copy
from made_up import refused
from terminal import shown_in_terminal

from dfer import train
from dfer.train.engine import checkpoint
from dfer.train.use.show import prediction_progress

# Unlike the defaults, to see that they are the ones used.
SETTINGS = {"frames": 6, "size": 96, "margin": 0.2}


def with_extraction(run, target, extraction):
    """A copy of a run whose cache was extracted with other settings; None: as an earlier version recorded it."""
    shutil.copytree(run, target)
    for name in ("last.pt", "best.pt"):
        saved = torch.load(target / name, weights_only=True)
        saved["origin"].pop("extraction")
        if extraction is not None:
            saved["origin"]["extraction"] = extraction
        torch.save(saved, target / name)
    return target


def recorded(run):
    return json.loads((run / "run.json").read_text())["extraction"]


@pytest.fixture(scope="session")
def other_run(small_run, tmp_path_factory):
    """The small run, as if its cache had been extracted with SETTINGS."""
    (settings,) = recorded(small_run)
    folder = tmp_path_factory.mktemp("other") / "run"
    return with_extraction(small_run, folder, [{**settings, **SETTINGS}])


@pytest.fixture(scope="session")
def answers(cli, other_run, sample_clips, sample_cache, astronaut_video, tmp_path_factory):
    """One real call with every kind of input: its folder, what it printed, and its clips by id."""
    folder = tmp_path_factory.mktemp("answers")
    (folder / "tmp").mkdir()
    (folder / "in" / "empty").mkdir(parents=True)
    odd = folder / "in" / "[bold]é *?\n.flv"
    shutil.copy(sample_clips / "1001_DFA_HAP_XX.flv", odd)
    (folder / "in" / "labelled" / "joy").mkdir(parents=True)
    shutil.copy(astronaut_video, folder / "in" / "labelled" / "joy" / "a.mp4")
    (folder / "in" / "text.mp4").write_text("no video")
    (folder / "in" / "notes.txt").write_text("no video either")
    names = ("labelled", "text.mp4", "notes.txt", "empty", "*.flv")
    inputs = [*(folder / "in" / name for name in names), odd, sample_cache]
    written = ("--csv", folder / "p.csv", "--parquet", folder / "p.parquet", "--keep", folder / "kept")
    outcome = cli("train", "predict", other_run, *inputs, *written, "--json", TMPDIR=str(folder / "tmp"))
    assert outcome.returncode == 3, outcome.stderr
    result = json.loads(outcome.stdout)
    return folder, outcome, result, {clip["clip"]: clip for clip in result["clips"]}


def test_every_clip_has_an_answer_or_a_reason(answers):
    folder, _, result, clips = answers
    assert len(clips) == len(result["clips"]) == 3 + 2 + 6  # the video that two inputs name is one clip
    assert sum(clip["status"] == "ok" for clip in clips.values()) == 2 + 6
    for clip in clips.values():
        if clip["status"] == "ok":
            assert sum(clip["probabilities"].values()) == pytest.approx(1)
            assert clip["predicted"] == max(clip["probabilities"], key=clip["probabilities"].get)
            assert clip["reason"] is None and 0 <= clip["start_s"] < clip["end_s"]
        else:
            assert clip["predicted"] is clip["probabilities"] is None and clip["reason"]
    reasons = {name: clip["reason"] for name, clip in clips.items() if clip["status"] == "undecodable"}
    assert set(reasons) == {"text.mp4", str(folder / "in/notes.txt"), str(folder / "in/empty")}
    assert "no clips found" in reasons[str(folder / "in/empty")]


def test_labels_and_places_of_clips_are_kept(answers):
    folder, _, _, clips = answers
    assert clips["labelled/joy/a.mp4"]["label"] == "joy"
    assert clips["labelled/joy/a.mp4"]["path"] == str(folder / "in/labelled/joy/a.mp4")
    assert clips["[bold]é *?\n.flv"]["label"] is None
    assert (clips["1001_DFA_ANG_XX"]["label"], clips["1001_DFA_ANG_XX"]["path"]) == ("anger", None)


def test_clips_are_extracted_like_those_that_the_run_was_trained_on(answers):
    settings = json.loads((answers[0] / "kept" / "cache.json").read_text())["settings"]
    assert {name: settings[name] for name in SETTINGS} == SETTINGS


def test_nothing_but_the_notes_is_printed_and_nothing_temporary_stays(answers):
    folder, outcome, _, _ = answers
    notes = [line for line in outcome.stderr.splitlines() if not line.startswith(("wrote", "kept"))]
    (note,) = notes
    assert "--size 128 --margin 0.1" in note and "--size 96 --margin 0.2" in note
    assert list((folder / "tmp").iterdir()) == []


def test_the_tables_have_what_is_printed(answers):
    folder, _, result, _ = answers
    table = pl.read_parquet(folder / "p.parquet")
    assert table["clip"].to_list() == [clip["clip"] for clip in result["clips"]]
    for row, clip in zip(table.iter_rows(named=True), result["clips"], strict=True):
        shares = clip["probabilities"] or dict.fromkeys(result["labels"])
        assert {label: row[f"p_{label}"] for label in result["labels"]} == shares
        assert all(row[name] == clip[name] for name in ("status", "reason", "predicted", "start_s", "end_s"))
    assert pl.read_csv(folder / "p.csv").columns == table.columns


def test_a_cache_is_predicted_as_it_is_and_gives_the_same_answers(answers, other_run):
    folder, _, _, clips = answers
    again = train.load(other_run).predict(folder / "kept")
    assert {each.clip for each in again} == {"[bold]é *?\n.flv", "labelled/joy/a.mp4", "text.mp4"}
    for each in again:
        assert each.probabilities == pytest.approx(clips[each.clip]["probabilities"] or None)
        assert len(each.times) == (SETTINGS["frames"] if each.status == "ok" else 0)


def test_answers_are_those_of_evaluate(here, small_run, sample_cache, tmp_path):
    table = tmp_path / "p.parquet"
    assert here("train", "evaluate", small_run, sample_cache, "--predictions", table).returncode == 0
    expected = pl.read_parquet(table)
    found = train.load(small_run).predict(sample_cache)
    assert [each.predicted for each in found] == expected["predicted"].to_list()
    shares = [[*each.probabilities.values()] for each in found]
    assert np.array_equal(shares, expected.select(pl.col("^p_.*$")).to_numpy())


def test_the_table_fits_into_80_columns(small_run, sample_cache):
    outcome = made_up.train("predict", small_run, sample_cache, columns=80)
    lines = outcome.stdout.splitlines()
    assert outcome.exit_code == 0 and max(map(len, lines)) <= 80
    for word in ("1001_DFA_ANG_XX", "happiness", "probabilities, %"):
        assert word in outcome.stdout
    assert "\\x" not in outcome.stdout  # what `printable` makes of odd characters


def test_the_temporary_cache_is_private_and_removed(
    small_run, moving_astronaut, write_video, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    modes = []

    def look(doing, _clips):
        modes.extend(path.stat().st_mode & 0o777 for path in tmp_path.glob("dfer-predict-*"))

    video = write_video(tmp_path / "a.mp4", moving_astronaut(2))
    watch = train.Watch(on_clips=look)
    (answer,) = train.load(small_run).predict(str(video), workers=1, watch=watch)
    assert answer.status == "ok" and set(modes) == {0o700}
    assert list(tmp_path.iterdir()) == [video]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_prediction_leaves_nothing(program, small_run, sample_clips, tmp_path, number):
    command = [program("train"), "predict", small_run, sample_clips]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)}, **pipes)
    while not list(tmp_path.glob("dfer-predict-*/cache/cache.json")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (128 + number, "", "train: interrupted\n")
    assert list(tmp_path.iterdir()) == []


HOLDING = """
import sys
from dfer.train.use.private_folder import private_folder
with private_folder("dfer-predict") as folder:
    (folder / "face.jpg").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_is_in_use_is_not(tmp_path):
    def start() -> tuple[subprocess.Popen, Path]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        process = subprocess.Popen([sys.executable, "-c", HOLDING], env=environment, **pipes)
        return process, Path(process.stdout.readline().strip())

    killed, left = start()
    running, used = start()
    killed.kill()
    killed.wait()
    assert (left / "face.jpg").exists()
    last, own = start()
    assert sorted(tmp_path.iterdir()) == sorted([used, own]) and (used / "face.jpg").exists()
    for process in (running, last):
        process.communicate()
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_an_earlier_version_predicts_caches_only(small_run, sample_clips, sample_cache, tmp_path):
    run = with_extraction(small_run, tmp_path / "run", None)
    line = refused("predict", run, sample_clips)
    assert "does not say how its clips were extracted" in line and "give that cache" in line
    assert made_up.train("predict", run, sample_cache).stderr == ""


def test_a_run_on_face_crops_takes_what_is_given_for_such_crops_and_says_it(small_run, tmp_path):
    from dfer.train.use.extraction import Watch, settings_for

    extraction = [{**recorded(small_run)[0], "input": "face"}]
    model = train.load(with_extraction(small_run, tmp_path / "run", extraction)).model
    notes = []
    watch = Watch(on_note=notes.append)
    assert settings_for(model, None, watch).input == "face" and "--input scene" in notes[0]
    assert settings_for(model, "scene", watch).input == "scene" and len(notes) == 1


@pytest.mark.parametrize("extraction", ["text", [], ["text"], [{"size": "large"}]])
def test_damaged_settings_of_the_extraction_are_refused(small_run, sample_clips, tmp_path, extraction):
    run = with_extraction(small_run, tmp_path / "run", extraction)
    assert str(run) in refused("predict", run, sample_clips)


def test_clips_of_one_name_in_two_caches_are_told_apart(here, small_run, sample_cache, tmp_path):
    other = linked_copy(sample_cache, tmp_path / "other", "clips.parquet")
    no_face = pl.when(pl.col("clip_id") == "1001_DFA_ANG_XX").then(pl.lit("no_face"))
    clips = pl.read_parquet(other / "clips.parquet")
    clips.with_columns(no_face.otherwise("status").alias("status")).write_parquet(other / "clips.parquet")
    outcome = here("train", "predict", small_run, sample_cache, other, "--csv", tmp_path / "p.csv")
    assert outcome.returncode == 3  # the other cache's clip of this name has an answer
    assert "no answer for 1 of 12 clips" in outcome.stdout
    table = pl.read_csv(tmp_path / "p.csv")
    assert table["cache"].to_list() == [str(sample_cache)] * 6 + [str(other)] * 6
    shown = "".join(outcome.stdout.split())
    assert "other:1001_DFA_ANG_XX" in "".join(char for char in shown if char not in "│┃")


def test_names_of_folders_that_are_no_classes_are_no_labels(here, small_run, sample_clips, tmp_path):
    (tmp_path / "in" / "day one").mkdir(parents=True)
    shutil.copy(sample_clips / "1001_DFA_HAP_XX.flv", tmp_path / "in" / "day one" / "a.flv")
    outcome = here("train", "predict", small_run, tmp_path / "in", "--json")
    assert outcome.returncode == 0 and outcome.stderr == ""
    (clip,) = json.loads(outcome.stdout)["clips"]
    assert clip["clip"] == "day one/a.flv" and clip["label"] is None
    (tmp_path / "in" / "day one").rename(tmp_path / "in" / "Happy")
    (found,) = train.load(small_run).predict(tmp_path / "in")
    assert found.label == "Happy"


def test_a_damaged_video_is_answered_with_a_warning(here, small_run, moving_astronaut, write_video, tmp_path):
    whole, cut = tmp_path / "whole.avi", tmp_path / "cut.avi"
    write_video(whole, moving_astronaut(60))
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    outcome = here("train", "predict", small_run, cut, "--json")
    (clip,) = json.loads(outcome.stdout)["clips"]
    assert clip["predicted"] and "cut off" in clip["warning"]
    assert outcome.stderr == f"cut.avi: {clip['warning']}\n"


def test_a_note_is_a_line_of_its_own_next_to_a_progress_bar(monkeypatch):
    def predict():
        with prediction_progress() as watch:
            watch.on_clips("predicting", 2)
            watch.on_note("[b]a.mp4: a rare face\x1b")

    shown = shown_in_terminal(monkeypatch, predict)
    assert "predicting" in shown and "\r\x1b[2K[b]a.mp4: a rare face\\x1b\r\n" in shown


def test_wrong_input_is_one_line(small_run, sample_cache, tmp_path):
    assert "no such file or folder" in refused("predict", small_run, tmp_path / "missing.mp4")
    assert "no such file or folder" in refused("predict", small_run, tmp_path / "*.mp4")
    assert "no such run" in refused("predict", tmp_path / "missing", sample_cache)
    for name in ("last.pt", "best.pt"):
        line = refused("predict", small_run / name, sample_cache)
        assert f"is a file of a run; give its folder {small_run}" in line
        assert ("--checkpoint best" in line) == (name == "best.pt")
    (tmp_path / "last.pt2").touch()
    line = refused("predict", tmp_path / "last.pt2", sample_cache)
    assert "is a file; give the folder of a run, or an .onnx file" in line
    assert "is a cache" in refused("predict", sample_cache, sample_cache)
    line = refused("predict", "default", sample_cache, "--device", "nonsense")
    assert "--device nonsense: unknown device; give auto, cpu, cuda or mps" in line
    assert "--keep" in refused("predict", small_run, sample_cache, "--keep", tmp_path / "kept")
    assert "must end in .csv" in refused("predict", small_run, sample_cache, "--csv", tmp_path / "p.txt")
    assert made_up.train("predict", small_run, "").exit_code == 2


def on_a_small_disk(size, *command):
    """Run a command that can write no file of more than this many KiB."""
    limited = ["bash", "-c", f'ulimit -f {size}; exec "$@"', "-", *map(str, command)]
    return subprocess.run(limited, capture_output=True, text=True, timeout=300)


def test_a_temporary_folder_without_room_is_named_with_what_to_do(program, small_run, astronaut_video):
    outcome = on_a_small_disk(10, program("train"), "predict", small_run, astronaut_video, "--workers", 1)
    (line,) = outcome.stderr.splitlines()
    assert f"cannot write to the temporary folder {tempfile.gettempdir()}: " in line
    assert line.endswith("; make room, set TMPDIR to another folder, or give --keep CACHE")


def test_the_answers_are_shown_although_a_drawing_does_not_fit_on_the_disk(
    program, small_run, sample_cache, tmp_path
):
    files = ("--csv", tmp_path / "a.csv", "--plot", tmp_path / "p.png", "--parquet", tmp_path / "a.parquet")
    call = (program("train"), "predict", small_run, sample_cache, *files, "--json")
    outcome = on_a_small_disk(20, *call)  # the tables fit, the picture does not
    line = outcome.stderr.splitlines()[-1]
    assert outcome.returncode == 1 and f"cannot write the plot {tmp_path / 'p.png'}: " in line
    assert line.endswith("make room, then run the same command again")
    assert f"wrote {tmp_path / 'a.csv'}, {tmp_path / 'a.parquet'}" in outcome.stderr
    shown = [clip["clip"] for clip in json.loads(outcome.stdout)["clips"]]
    assert shown == pl.read_csv(tmp_path / "a.csv")["clip"].to_list()


def test_missing_weights_are_one_line(small_run, sample_cache, tmp_path):
    shutil.copytree(small_run, tmp_path / "run")
    (tmp_path / "run" / "best.pt").unlink()
    line = refused("predict", tmp_path / "run", sample_cache, "--checkpoint", "best")
    assert "no checkpoint" in line


def test_the_run_records_the_settings_of_its_cache(small_run, sample_cache):
    info = json.loads((sample_cache / "cache.json").read_text())
    assert (
        recorded(small_run)
        == [info["settings"]]
        == checkpoint.load(small_run / "last.pt").origin["extraction"]
    )


def test_clips_without_a_label_are_predicted_and_not_trained_on(here, small_run, sample_cache, tmp_path):
    cache = linked_copy(sample_cache, tmp_path / "cache", "clips.parquet", "cache.json")
    clips = pl.read_parquet(cache / "clips.parquet").with_columns(label=pl.lit(None, pl.String))
    clips.write_parquet(cache / "clips.parquet")
    info = json.loads((cache / "cache.json").read_text())
    (cache / "cache.json").write_text(json.dumps({**info, "labels": []}))
    assert all(each.label is None and each.predicted for each in train.load(small_run).predict(cache))
    out, compared = ("--out", tmp_path / "out"), ("--models", "strong,quick", "--holdout", 0.5)
    for call in (
        ("run", cache, *out),
        ("crossval", cache, *out, "--folds", "clips:2"),
        ("sweep", "parts", cache, *out),
        ("compare", cache, *compared, *out),
        ("baseline", cache),
        ("evaluate", small_run, cache),
    ):
        line = refused(*call)
        assert "has a label" in line and line.count("\n") == 0, call
    assert not (tmp_path / "out").exists()
