"""Where `evaluate` and `report` write what is asked for: beside a run and a cache, never over them."""

import shutil

import pytest


@pytest.fixture
def places(small_run, sample_cache, tmp_path):
    run, cache = (
        shutil.copytree(small_run, tmp_path / "run"),
        shutil.copytree(sample_cache, tmp_path / "cache"),
    )
    (tmp_path / "link.png").symlink_to(run / "confusion.png")
    return {"run": run, "cache": cache, "": tmp_path}


@pytest.mark.parametrize(
    ("option", "place", "name"),
    [
        ("--predictions", "run", "predictions.parquet"),
        ("--predictions", "run", "predictions_best.parquet"),
        ("--predictions", "run", "metrics.csv"),
        ("--predictions", "cache", "clips.parquet"),
        ("--predictions", "cache", "clips/00000.parquet"),
        ("--confusion", "run", "confusion.png"),
        ("--confusion", "", "link.png"),
        ("--out", "run", "best.pt"),
        ("--out", "run", "weights.json"),
        ("--out", "cache", "faces/00000.arrow"),
        ("--out", "cache", "seal.json"),
    ],
)
def test_a_file_of_a_run_or_a_cache_is_not_replaced(here, places, option, place, name):
    path = places[place] / name
    command = ("report", places["run"]) if option == "--out" else ("evaluate", places["run"], places["cache"])
    before = path.read_bytes() if path.exists() else None
    outcome = here("train", *command, option, path)
    (line,) = outcome.stderr.splitlines()
    assert outcome.returncode == 1
    assert line == f"train: {option} {path}: that name is of a run's or a cache's own file; give another one"
    assert (path.read_bytes() if path.exists() else None) == before


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_evaluate_says_last_which_files_it_wrote(here, places, flags):
    table, picture = places["run"] / "mine.csv", places["run"] / "mine.png"
    call = ("evaluate", places["run"], places["cache"], "--predictions", table, "--confusion", picture)
    for _ in range(2):  # what it wrote itself it may replace
        outcome = here("train", *call, *flags)
        assert outcome.returncode == 0 and table.exists() and picture.exists()
    said = outcome.stderr if flags else outcome.stdout
    assert said.splitlines()[-1] == f"written: {table}, {picture}"
    assert "written" not in (outcome.stdout if flags else outcome.stderr)
