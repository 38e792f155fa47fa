"""`evaluate` and `report` write only where asked, and never over files of a run or a cache."""

import pytest
from linked_copy import linked_copy


@pytest.fixture
def folders(small_run, sample_cache, tmp_path):
    run, cache = (
        linked_copy(small_run, tmp_path / "run"),
        linked_copy(sample_cache, tmp_path / "cache"),
    )
    (tmp_path / "link.png").symlink_to(run / "confusion.png")
    return {"run": run, "cache": cache, "": tmp_path}


@pytest.mark.parametrize(
    ("option", "folder", "name"),
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
def test_a_file_of_a_run_or_a_cache_is_not_overwritten(here, folders, option, folder, name):
    path = folders[folder] / name
    command = (
        ("report", folders["run"]) if option == "--out" else ("evaluate", folders["run"], folders["cache"])
    )
    before = path.read_bytes() if path.exists() else None
    outcome = here("train", *command, option, path)
    (line,) = outcome.stderr.splitlines()
    assert outcome.returncode == 1
    assert line == f"train: {option} {path}: would overwrite a file of the run or cache; choose another name"
    assert (path.read_bytes() if path.exists() else None) == before


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_evaluate_ends_with_the_files_it_wrote_and_can_overwrite_them(here, folders, flags):
    table, picture = folders["run"] / "mine.csv", folders["run"] / "mine.png"
    call = ("evaluate", folders["run"], folders["cache"], "--predictions", table, "--confusion", picture)
    table.write_text("written before")
    outcome = here("train", *call, *flags)
    assert outcome.returncode == 0, outcome.stderr
    assert table.read_text().startswith("clip_id") and picture.read_bytes().startswith(b"\x89PNG")
    printed = outcome.stderr if flags else outcome.stdout
    assert f"wrote {table}, {picture}" in printed.splitlines()
    assert "wrote" not in (outcome.stdout if flags else outcome.stderr)
