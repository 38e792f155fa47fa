"""Wrong input to `train`'s commands gets one line that says what is wrong, and exit code 1."""

import json

import made_up
import polars as pl
import pytest
import torch
from linked_copy import linked_copy

from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import open_pool


def test_wrong_input_is_one_clear_line_and_exit_1(here, small, small_run, sample_cache, tmp_path):
    newer = linked_copy(sample_cache, tmp_path / "newer", "cache.json")
    info = json.loads((newer / "cache.json").read_text())
    (newer / "cache.json").write_text(json.dumps({**info, "format_version": 99}))
    unfinished = linked_copy(sample_cache, tmp_path / "unfinished")
    (unfinished / "clips.parquet").unlink()
    parted = linked_copy(sample_cache, tmp_path / "parted", "clips.parquet")
    split = pl.Series("split", ["train", "train", "test"] * 2)
    pl.read_parquet(parted / "clips.parquet").with_columns(split).write_parquet(parted / "clips.parquet")
    one_class = linked_copy(sample_cache, tmp_path / "one class", "clips.parquet")
    clips = pl.read_parquet(one_class / "clips.parquet").with_columns(label=pl.lit("anger"))
    clips.write_parquet(one_class / "clips.parquet")
    torn = linked_copy(small_run, tmp_path / "torn", "last.pt")
    (torn / "last.pt").write_bytes(b"PK\x03\x04 torn")
    foreign = linked_copy(small_run, tmp_path / "foreign")
    (foreign / "last.pt").unlink()
    torch.save({"weights": torch.zeros(3)}, foreign / "last.pt")
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    run, evaluate = ("run", sample_cache, "--out"), "evaluate"
    calls = {
        "no cache": (("run", tmp_path / "missing", "--out", out), "no such cache"),
        "an empty cache": (("run", tmp_path, "--out", out), "not a landmark cache"),
        "a newer cache": (("run", newer, "--out", out), "cache format 99, this program reads 2"),
        "an unfinished cache": (("run", unfinished, "--out", out), "is not finished"),
        "clips of one class": (("run", one_class, "--out", out), "'anger'"),
        "an unwritable run": ((*run, tmp_path / "file" / "run", *small), "cannot write the run"),
        "a folder with other things": ((*run, tmp_path), "already exists and is not a run; choose another --out"),
        "a run in a cache": ((*run, sample_cache / "run", *small), "is inside the cache"),
        "folds in a cache": (
            ("crossval", sample_cache, "--folds", "subject:2", "--out", newer),
            "is a cache",
        ),
        "--holdout for a dataset with a split": (("run", parted, "--out", out, "--holdout", 0.2), "--holdout 0.2"),
        "a run with other settings": ((*run, small_run), "contains another run"),
        "no such fold": ((*run, out, "--fold", 3), f"--fold 3: no folds in {sample_cache}; leave --fold out, set"),
        "no such device": ((*run, out, "--device", "quantum"), "--device quantum"),
        "no such preset": ((*run, out, "--preset", "papr"), "no preset papr"),
        "a wrong setting": ((*run, out, "--heads", 0), "--heads 0:"),
        "no run": ((evaluate, tmp_path / "missing", sample_cache), "no such run"),
        "no checkpoint": ((evaluate, tmp_path / "empty", sample_cache), "no checkpoint"),
        "a checkpoint for its run": ((evaluate, small_run / "last.pt", sample_cache), "is a file of a run; give its"),
        "a report of a checkpoint": (("report", small_run / "best.pt"), "and add --checkpoint best"),
        "several runs": (
            (evaluate, tmp_path, sample_cache),
            f"contains several runs; give one of them, such as {foreign}",
        ),
        "a report of several runs": (("report", tmp_path), f"several runs; give one of them, such as {foreign}"),
        "a cache for a run": ((evaluate, sample_cache, small_run), "is a cache; give the folder of a run"),
        "a report of a cache": (("report", sample_cache), "is a cache; give the folder of a run"),
        "several runs to start from": (
            (*run, out, *small, "--init-from", tmp_path),
            "contains several runs; give one",
        ),
        "a cache to start from": (
            (*run, out, *small, "--init-from", sample_cache),
            "is a cache; give the folder of a run",
        ),
        "a torn checkpoint": ((evaluate, torn, sample_cache), "is damaged or"),
        "a foreign checkpoint": ((evaluate, foreign, sample_cache), "is not a checkpoint of this program"),
    }  # fmt: skip
    for name, (arguments, message) in calls.items():
        outcome = here("train", *arguments)
        assert outcome.returncode == 1, (name, outcome)
        (line,) = outcome.stderr.splitlines()
        assert line.startswith("train: ") and message in line, (name, line)
    assert not out.exists()


def test_a_step_with_one_value_per_channel_is_refused_and_larger_steps_are_not(here, sample_cache, tmp_path):
    point = ("--num-frames", 1, "--image-size", 32, "--stage-strides", "1,2,2,2", "--depth", 1)
    call = ("run", sample_cache, "--preset", "quick", *point, "--epochs", 1, "--out")
    outcome = here("train", *call, tmp_path / "one", "--batch-size", 1)
    assert outcome.returncode == 1
    assert "batch norm" in outcome.stderr.splitlines()[-1]
    assert here("train", *call, tmp_path / "three", "--batch-size", 3).returncode == 0
    outcome = here("train", "benchmark", "--preset", "quick", *point, "--batch-sizes", 1, "--seconds", 0)
    assert outcome.returncode == 1 and "batch norm" in outcome.stderr


def test_damaged_files_of_a_run_are_one_line(here, small_run, tmp_path):
    # Without the 200 MB of weights and moments: a checkpoint is checked before they are used.
    saved = {**torch.load(small_run / "last.pt", weights_only=True), "model": {}, "state": {}}
    origin = json.loads((small_run / "run.json").read_text())
    predictions = pl.read_parquet(small_run / "predictions.parquet")

    def checkpoint_with(**change):
        return "last.pt", lambda path: torch.save({**saved, **change}, path), "last.pt is damaged"

    damages = {
        "an epoch in words": checkpoint_with(epoch="two"),
        "half a sample": checkpoint_with(consumed=3.5),
        "rows of something else": checkpoint_with(rows=[{"a": 1}]),
        "an unknown class": checkpoint_with(majority="x"),
        "an infinite epoch": checkpoint_with(rows=[{**saved["rows"][0], "epoch": float("inf")}]),
        "an origin that is not JSON": checkpoint_with(origin={"dataset": torch.zeros(2)}),
        "clips in words": (
            "run.json",
            lambda path: path.write_text(json.dumps({**origin, "test_clips": "six"})),
            "run.json is missing or damaged",
        ),
        "no labels": (
            "predictions.parquet",
            lambda path: predictions.drop("label").write_parquet(path),
            "predictions.parquet: missing or wrong columns: label",
        ),
        "no scenes": (
            "predictions.parquet",
            lambda path: predictions.drop("scene").write_parquet(path),
            "predictions.parquet: missing or wrong columns: scene",
        ),
        "usable in words": (
            "predictions.parquet",
            lambda path: predictions.cast({"usable": pl.String}).write_parquet(path),
            "predictions.parquet: missing or wrong columns: usable",
        ),
    }  # fmt: skip
    for name, (file, damage, message) in damages.items():
        run = linked_copy(small_run, tmp_path / name)
        (run / file).unlink()
        damage(run / file)
        outcome = here("train", "report", run)
        (line,) = outcome.stderr.splitlines()
        assert outcome.returncode == 1 and message in line, (name, line)


def test_a_cache_cannot_list_a_label_twice_or_claim_huge_crops(sample_cache, tmp_path):
    info = json.loads((sample_cache / "cache.json").read_text())
    for number, (change, message) in enumerate(
        (
            ({"labels": ["anger", *info["labels"]]}, "a label is listed twice"),
            ({"settings": {**info["settings"], "size": 100_000}}, "invalid crop size"),
        )
    ):
        cache = linked_copy(sample_cache, tmp_path / str(number), "cache.json")
        (cache / "cache.json").write_text(json.dumps({**info, **change}))
        with pytest.raises(UserError, match=message):
            open_pool(cache)


def test_a_run_or_a_cache_is_not_a_folder_for_several_runs(tmp_path):
    cache = made_up.cache(tmp_path, "c", [made_up.clip("ab"[n % 2], n, fold=n // 2 + 1) for n in range(4)])
    run = tmp_path / "a [/b] run"
    made_up.done("run", cache, "--out", run, *made_up.TINY, "--fold", 1)
    before = (run / "predictions.parquet").read_bytes()
    for out, problem in ((run, "is a single run; choose"), (cache, "is a cache; choose")):
        line = made_up.refused("crossval", cache, "--out", out, "--folds", "official", *made_up.TINY)
        assert f"{out} {problem} another --out" in line
        line = made_up.refused("sweep", "heads", cache, "--out", out, "--fold", 1, *made_up.TINY[2:])
        assert f"{out} {problem} another --out" in line
    assert (run / "predictions.parquet").read_bytes() == before


def test_a_missing_tensorboard_is_reported_before_anything_is_read(here, monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "tensorboard", None)
    outcome = here("train", "run", tmp_path / "no cache", "--out", tmp_path / "run", "--tensorboard")
    assert outcome.stderr == "train: --tensorboard needs an extra: pip install '.[tensorboard]'\n"
    assert outcome.returncode == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            ("run", "cache", "--out", "out", "--model", ""),
            "Invalid value for '--model': it is empty; give a value",
        ),
        (("run", "cache", "--out", "out", "--preset="), "Invalid value for '--preset': it is empty"),
        (("run", "cache", "--out", ""), "Invalid value for '--out': it is empty"),
        (("run", "cache", "--out", "out", "--init-from="), "Invalid value for '--init-from': it is empty"),
        (("run", "", "--out", "out"), "Invalid value for 'CACHE...': it is empty"),
        (
            ("sweep", "heads", "cache", "--out", "out", "--preset", ""),
            "Invalid value for '--preset': it is empty",
        ),
        (
            ("sweep", "heads", "cache", "--out", "out", "--folds", ""),
            "Invalid value for '--folds': it is empty",
        ),
        (
            ("crossval", "cache", "--out", "out", "--folds", "official", "--dask="),
            "Invalid value for '--dask'",
        ),
        (
            ("compare", "cache", "--out", "out", "--models", "quick", "--recipe="),
            "Invalid value for '--recipe'",
        ),
        (
            ("compare", "cache", "--out", "out", "--models", "quick,,paper"),
            "--models quick,,paper: give names",
        ),
        (("describe", "--model", "quick,,paper"), "--model quick,,paper: give names separated by commas"),
    ],
)
def test_an_empty_value_is_wrong_usage_and_not_the_default(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = made_up.train(*call)
    assert outcome.exit_code == 2 and message in outcome.stderr.splitlines()[-1]
