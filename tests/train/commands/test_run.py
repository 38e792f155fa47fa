import csv
import dataclasses
import json
import shutil
import subprocess
import sys

import made_up
import polars as pl
import pytest
import torch

from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import open_pool
from dfer.train.engine import checkpoint

LABELS = ["anger", "disgust", "fear", "happiness", "neutral", "sadness"]


@pytest.fixture(scope="module")
def overfitted(cli, sample_cache, tmp_path_factory):
    """The main job of the README: the quick preset learns the six clips by heart."""
    out = tmp_path_factory.mktemp("overfitted") / "run"
    outcome = cli("train", "run", sample_cache, "--out", out, "--preset", "quick")
    assert outcome.returncode == 0, outcome.stderr
    return out, outcome


def test_six_clips_are_learnt_by_heart_and_the_reloaded_network_predicts_their_labels(
    cli, overfitted, sample_cache
):
    out, _ = overfitted
    rows = list(csv.DictReader((out / "metrics.csv").open()))
    assert [int(row["epoch"]) for row in rows] == list(range(20))
    assert float(rows[-1]["test_war"]) == float(rows[-1]["test_uar"]) == 1
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"]) / 2
    outcome = cli("train", "evaluate", out, sample_cache, "--json")
    assert outcome.returncode == 0, outcome.stderr
    result = json.loads(outcome.stdout)
    assert result["war"] == result["uar"] == 1 and result["clips"] == 6
    assert result["predictions"] == {f"1001_DFA_{label[:3].upper()}_XX": label for label in LABELS}


def test_evaluate_gives_the_predictions_that_training_ended_with(here, overfitted, sample_cache, tmp_path):
    out, _ = overfitted
    again = tmp_path / "predictions.parquet"
    assert here("train", "evaluate", out, sample_cache, "--predictions", again).returncode == 0
    assert pl.read_parquet(again).equals(pl.read_parquet(out / "predictions.parquet"))
    table = tmp_path / "predictions.csv"
    assert here("train", "evaluate", out, sample_cache, "--predictions", table).returncode == 0
    assert pl.read_csv(table)["predicted"].to_list() == LABELS


def test_evaluate_shows_who_is_taken_for_whom_and_writes_it_as_a_picture(
    here, overfitted, cache_with_unusable_clips, tmp_path
):
    out, _ = overfitted
    picture = tmp_path / "confusion.png"
    call = ("train", "evaluate", out, cache_with_unusable_clips, "--clips", "all")
    outcome = here(*call, "--confusion", picture)
    assert outcome.returncode == 0, outcome.stderr
    after = outcome.stdout.split("rows the truth and columns the prediction")[1]
    rows = [line.strip("│ ").split("│") for line in after.splitlines() if line.startswith("│")]
    found = {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in rows}
    # Fear and sadness have no face here: they count as predicted as the most frequent class, the first of equals.
    assert found["1 anger"] == found["3 fear"] == found["6 sadness"] == ["1", *5 * ["·"]]
    assert found["4 happiness"] == [*3 * ["·"], "1", *2 * ["·"]]
    assert picture.read_bytes().startswith(b"\x89PNG")
    refused = here(*call, "--confusion", tmp_path / "confusion.pdf")
    (line,) = refused.stderr.splitlines()
    assert refused.returncode == 1 and line.endswith("confusion.pdf: its name must end in .png")


def test_the_run_says_that_it_was_judged_on_its_training_clips(overfitted):
    _, outcome = overfitted
    assert "the training clips themselves" in outcome.stdout
    assert "20/20" in outcome.stderr and "100.00 %" in outcome.stdout


def test_a_run_leaves_every_file_it_promises(small_run, sample_cache):
    names = {
        "settings.toml",
        "run.json",
        "metrics.csv",
        "metrics.jsonl",
        "last.pt",
        "best.pt",
        "confusion.png",
        "predictions.parquet",
        "predictions_best.parquet",
    }
    assert {path.name for path in small_run.iterdir()} == names
    assert (small_run / "confusion.png").read_bytes().startswith(b"\x89PNG")
    origin = json.loads((small_run / "run.json").read_text())
    info = json.loads((sample_cache / "cache.json").read_text())
    assert origin["labels"] == LABELS and origin["cache_settings_hash"] == info["settings_hash"]
    predictions = pl.read_parquet(small_run / "predictions.parquet")
    about = ["clip_id", "scene_group", "scene", "subject", "label", "usable", "predicted"]
    assert predictions.columns == [*about, *(f"p_{x}" for x in LABELS)]
    shares = predictions.select(f"p_{x}" for x in LABELS).sum_horizontal()
    assert (shares - 1).abs().max() < 1e-5
    lines = [json.loads(line) for line in (small_run / "metrics.jsonl").read_text().splitlines()]
    rows = list(csv.DictReader((small_run / "metrics.csv").open()))
    assert [list(line) for line in lines] == [list(row) for row in rows] and len(rows) == 2
    assert lines[1]["test_war"] == pytest.approx(float(rows[1]["test_war"]), rel=1e-5)


def test_flags_reach_the_settings_that_the_run_keeps(small_run):
    kept = checkpoint.load(small_run / "last.pt")
    assert (kept.config.data.image_size, kept.config.data.num_frames) == (32, 4)
    assert kept.config.network.stage_strides == (1, 2, 2, 2)
    assert kept.config.to_toml() == (small_run / "settings.toml").read_text()


def test_the_same_seed_gives_the_same_weights_and_another_one_does_not(
    here, small, small_run, sample_cache, tmp_path
):
    weights = [checkpoint.load(small_run / "last.pt").model]
    for seed in (0, 1):
        out = tmp_path / str(seed)
        here("train", "run", sample_cache, "--out", out, *small, "--epochs", 2, "--seed", seed)
        weights.append(checkpoint.load(out / "last.pt").model)
    first, same, other = weights
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["clip_head.weight"], other["clip_head.weight"])


def test_a_finished_run_is_left_as_it_is(cli, small, small_run, sample_cache):
    before = {path: path.stat().st_mtime_ns for path in small_run.iterdir()}
    outcome = cli("train", "run", sample_cache, "--out", small_run, *small, "--epochs", 2)
    assert outcome.returncode == 0 and outcome.stdout.startswith("nothing to do")
    assert {path: path.stat().st_mtime_ns for path in small_run.iterdir()} == before


@pytest.fixture(scope="module")
def cache_with_unusable_clips(sample_cache, tmp_path_factory):
    """The six clips, two of them as if no face had been found, one fold each."""
    cache = shutil.copytree(sample_cache, tmp_path_factory.mktemp("unusable") / "cache")
    clips = pl.read_parquet(cache / "clips.parquet")
    bad = pl.col("label").is_in(["fear", "sadness"])
    clips = clips.with_columns(
        status=pl.when(bad).then(pl.lit("no_face")).otherwise("status"),
        row=pl.when(bad).then(None).otherwise("row"),
    )
    clips.write_parquet(cache / "clips.parquet")
    return cache


def test_unusable_clips_stay_in_the_denominator(here, overfitted, cache_with_unusable_clips):
    out, _ = overfitted
    outcome = here("train", "evaluate", out, cache_with_unusable_clips, "--clips", "all", "--json")
    result = json.loads(outcome.stdout)
    # The six classes are equally frequent, so the first stands for the most frequent one.
    assert result["predictions"]["1001_DFA_FEA_XX"] == result["predictions"]["1001_DFA_SAD_XX"] == "anger"
    assert (result["clips"], result["usable"]) == (6, 4)
    assert result["war"] == pytest.approx(4 / 6) and result["war_usable"] == 1
    assert result["recall"]["fear"] == 0


def test_every_program_of_train_works_where_the_pipelines_libraries_cannot_be_loaded(
    small, small_run, sample_cache, tmp_path
):
    blocked = ["mediapipe", "dlib", "decord", "cv2", "pipeline"]
    calls = [
        ["describe"],
        ["run", sample_cache, "--out", tmp_path / "run", *small, "--epochs", 1],
        ["evaluate", small_run, sample_cache],
    ]
    for call in calls:
        program = f"""
import sys
sys.modules.update(dict.fromkeys({blocked!r}))
from dfer.train.cli import main
main({[str(argument) for argument in call]!r}, prog_name="train")
"""
        outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert outcome.returncode == 0, (call, outcome.stderr)


def damaged(folder, name, content):
    (folder / name).write_bytes(content)
    return folder


def test_wrong_input_is_one_clear_line_and_exit_1(here, small, small_run, sample_cache, tmp_path):
    newer = shutil.copytree(sample_cache, tmp_path / "newer")
    info = json.loads((newer / "cache.json").read_text())
    (newer / "cache.json").write_text(json.dumps({**info, "format_version": 2}))
    unfinished = shutil.copytree(sample_cache, tmp_path / "unfinished")
    (unfinished / "clips.parquet").unlink()
    parted = shutil.copytree(sample_cache, tmp_path / "parted")
    split = pl.Series("split", ["train", "train", "test"] * 2)
    pl.read_parquet(parted / "clips.parquet").with_columns(split).write_parquet(parted / "clips.parquet")
    torn = damaged(shutil.copytree(small_run, tmp_path / "torn"), "last.pt", b"PK\x03\x04 torn")
    foreign = shutil.copytree(small_run, tmp_path / "foreign")
    torch.save({"weights": torch.zeros(3)}, foreign / "last.pt")
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    run, judge = ("run", sample_cache, "--out"), "evaluate"
    calls = {
        "no cache": (("run", tmp_path / "missing", "--out", out), "no such cache folder"),
        "an empty cache": (("run", tmp_path, "--out", out), "not a landmark cache"),
        "a newer cache": (("run", newer, "--out", out), "cache format 2, this program reads 1"),
        "an unfinished cache": (("run", unfinished, "--out", out), "is not finished"),
        "an unwritable run": ((*run, tmp_path / "file" / "run", *small), "cannot write the run"),
        "a folder with other things": ((*run, tmp_path), "give another --out"),
        "a run in a cache": ((*run, sample_cache / "run", *small), "lies in the cache"),
        "folds in a cache": (
            ("crossval", sample_cache, "--folds", "subject:2", "--out", newer),
            "is a cache",
        ),
        "a holdout beside a split": (
            ("run", parted, "--out", out, "--holdout", 0.2),
            "--holdout 0.2 has no effect on",
        ),
        "a run with other settings": ((*run, small_run), "give another --out"),
        "no such fold": ((*run, out, "--fold", 3), "--fold 3: the cache has no folds"),
        "no such device": ((*run, out, "--device", "quantum"), "--device quantum"),
        "no such preset": ((*run, out, "--preset", "papr"), "no preset papr"),
        "a wrong setting": ((*run, out, "--heads", 0), "--heads 0: it must be between"),
        "no run": ((judge, tmp_path / "missing", sample_cache), "no such run"),
        "no checkpoint": ((judge, tmp_path / "empty", sample_cache), "no checkpoint"),
        "several runs": (
            (judge, tmp_path, sample_cache),
            f"holds several runs; give one of them, such as {foreign}",
        ),
        "a cache for a run": ((judge, sample_cache, small_run), "is a cache, where a run is needed"),
        "a report of a cache": (("report", sample_cache), "is a cache, where a run is needed"),
        "several runs to start from": (
            (*run, out, *small, "--init-from", tmp_path),
            "holds several runs; give one",
        ),
        "a cache to start from": (
            (*run, out, *small, "--init-from", sample_cache),
            "is a cache, where a run",
        ),
        "a torn checkpoint": ((judge, torn, sample_cache), "is damaged or not a checkpoint"),
        "a foreign checkpoint": ((judge, foreign, sample_cache), "is not a checkpoint of this program"),
    }
    for name, (arguments, message) in calls.items():
        outcome = here("train", *arguments)
        assert outcome.returncode == 1, (name, outcome)
        (line,) = outcome.stderr.splitlines()
        assert line.startswith("train: ") and message in line, (name, line)
    assert not out.exists()


def test_a_loss_that_is_no_number_stops_the_epoch_and_names_the_clips(sample_cache):
    overrides = {"image_size": 32, "num_frames": 2, "stage_strides": (1, 2, 2, 2)}
    training = made_up.training(sample_cache, "quick", overrides)
    training.learner.network.clip_head.bias.data.fill_(float("nan"))
    with pytest.raises(
        UserError, match=r"the loss is nan in epoch 1, clips 1001_DFA_..._XX, 1001_DFA_..._XX; try"
    ):
        list(training.steps())


def test_a_step_that_leaves_batch_norm_one_point_is_one_line_and_others_are_taken(
    here, sample_cache, tmp_path
):
    point = ("--num-frames", 1, "--image-size", 32, "--stage-strides", "1,2,2,2", "--depth", 1)
    call = ("run", sample_cache, "--preset", "quick", *point, "--epochs", 1, "--out")
    outcome = here("train", *call, tmp_path / "one", "--batch-size", 1)
    assert outcome.returncode == 1
    assert "batch norm needs more than one value per channel" in outcome.stderr.splitlines()[-1]
    assert here("train", *call, tmp_path / "three", "--batch-size", 3).returncode == 0
    outcome = here("train", "benchmark", "--preset", "quick", *point, "--batch-sizes", 1, "--seconds", 0)
    assert outcome.returncode == 1 and "batch norm needs more than one value" in outcome.stderr


def test_training_clips_of_one_class_only_are_nothing_to_learn_from(here, small, sample_cache, tmp_path):
    cache = shutil.copytree(sample_cache, tmp_path / "cache")
    clips = pl.read_parquet(cache / "clips.parquet").with_columns(label=pl.lit("anger"))
    clips.write_parquet(cache / "clips.parquet")
    outcome = here("train", "run", cache, "--out", tmp_path / "run", *small)
    (line,) = outcome.stderr.splitlines()
    assert outcome.returncode == 1 and "'anger'" in line and "at least two classes are needed" in line


def test_tensorboard_shows_every_epoch_once_also_after_a_resume(here, small, sample_cache, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "run"
    call = ("train", "run", sample_cache, "--out", out, *small, "--epochs", 2, "--tensorboard")
    assert here(*call).returncode == 0
    kept = checkpoint.load(out / "last.pt")
    # As if killed in the second epoch: the event of its end was not yet true.
    early = dataclasses.replace(checkpoint.load(out / "best.pt"), epoch=0, state=kept.state, rows=())
    checkpoint.save(out / "last.pt", early)
    assert here(*call, "--resume").returncode == 0
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    assert {"train/loss", "test/war", "learning/rate"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("test/war")] == [0, 1]


def test_damaged_files_of_a_run_are_one_line(here, small, small_run, sample_cache, tmp_path):
    kept = torch.load(small_run / "last.pt", weights_only=True)
    origin = json.loads((small_run / "run.json").read_text())
    predictions = pl.read_parquet(small_run / "predictions.parquet")

    def checkpoint_with(**change):
        return lambda run: torch.save({**kept, **change}, run / "last.pt"), "last.pt is damaged"

    breaks = {
        "an epoch in words": checkpoint_with(epoch="two"),
        "half a sample": checkpoint_with(consumed=3.5),
        "rows of something": checkpoint_with(rows=[{"a": 1}]),
        "a class that is none": checkpoint_with(majority="x"),
        "an endless epoch": checkpoint_with(rows=[{**kept["rows"][0], "epoch": float("inf")}]),
        "an origin that JSON cannot say": checkpoint_with(origin={"dataset": torch.zeros(2)}),
        "clips in words": (
            lambda run: (run / "run.json").write_text(json.dumps({**origin, "test_clips": "six"})),
            "run.json is missing or damaged",
        ),
        "no labels": (
            lambda run: predictions.drop("label").write_parquet(run / "predictions.parquet"),
            "no prediction table of this network (wrong: label)",
        ),
        "usable in words": (
            lambda run: predictions.cast({"usable": pl.String}).write_parquet(run / "predictions.parquet"),
            "no prediction table of this network (wrong: usable)",
        ),
    }  # fmt: skip
    for name, (break_it, message) in breaks.items():
        run = shutil.copytree(small_run, tmp_path / name)
        break_it(run)
        outcome = here("train", "report", run)
        (line,) = outcome.stderr.splitlines()
        assert outcome.returncode == 1 and message in line, (name, line)


def test_a_stranger_cannot_name_a_label_twice_or_fill_the_memory(sample_cache, tmp_path):
    info = json.loads((sample_cache / "cache.json").read_text())
    for number, (change, message) in enumerate(
        (
            ({"labels": ["anger", *info["labels"]]}, "names a label twice"),
            ({"settings": {**info["settings"], "size": 100_000}}, "no sound size of the crops"),
        )
    ):
        cache = shutil.copytree(sample_cache, tmp_path / str(number))
        (cache / "cache.json").write_text(json.dumps({**info, **change}))
        with pytest.raises(UserError, match=message):
            open_pool(cache)
