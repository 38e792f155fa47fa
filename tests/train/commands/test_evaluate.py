"""`train evaluate`: predictions, confusion matrix, unusable clips, and groups of clips."""

import json

import polars as pl
import pytest

LABELS = ["anger", "disgust", "fear", "happiness", "neutral", "sadness"]


def test_evaluate_repeats_the_predictions_of_the_training(here, overfitted, sample_cache, tmp_path):
    out, _ = overfitted
    again = tmp_path / "predictions.parquet"
    assert here("train", "evaluate", out, sample_cache, "--predictions", again).returncode == 0
    assert pl.read_parquet(again).equals(pl.read_parquet(out / "predictions.parquet"))
    table = tmp_path / "predictions.csv"
    assert here("train", "evaluate", out, sample_cache, "--predictions", table).returncode == 0
    assert pl.read_csv(table)["predicted"].to_list() == LABELS


def test_the_confusion_matrix_is_printed_and_written_as_a_picture(
    here, overfitted, cache_with_unusable_clips, tmp_path
):
    out, _ = overfitted
    picture = tmp_path / "confusion.png"
    call = ("train", "evaluate", out, cache_with_unusable_clips, "--clips", "all")
    outcome = here(*call, "--confusion", picture)
    assert outcome.returncode == 0, outcome.stderr
    after = outcome.stdout.split("confusion matrix (rows: true class, columns: predicted class)")[1]
    rows = [line.strip("│ ").split("│") for line in after.splitlines() if line.startswith("│")]
    found = {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in rows}
    # Clips without a face count as predicted as the most frequent class; of equally frequent ones, the first.
    assert found["1 anger"] == found["3 fear"] == found["6 sadness"] == ["1", *5 * ["·"]]
    assert found["4 happiness"] == [*3 * ["·"], "1", *2 * ["·"]]
    assert picture.read_bytes().startswith(b"\x89PNG")
    refused = here(*call, "--confusion", tmp_path / "confusion.pdf")
    (line,) = refused.stderr.splitlines()
    assert refused.returncode == 1 and line.endswith("confusion.pdf: the name must end in .png")


def test_unusable_clips_stay_in_the_denominator(here, overfitted, cache_with_unusable_clips):
    out, _ = overfitted
    outcome = here("train", "evaluate", out, cache_with_unusable_clips, "--clips", "all", "--json")
    result = json.loads(outcome.stdout)
    assert result["predictions"]["1001_DFA_FEA_XX"] == result["predictions"]["1001_DFA_SAD_XX"] == "anger"
    assert (result["clips"], result["usable"]) == (6, 4)
    assert result["war"] == pytest.approx(4 / 6) and result["war_usable"] == 1
    assert result["recall"]["fear"] == 0


def test_scenes_and_subjects_are_evaluated_separately(here, crossval, folds_cache):
    out, _ = crossval
    outcome = here("train", "evaluate", out / "fold_1", folds_cache, "--clips", "all", "--json")
    result = json.loads(outcome.stdout)
    assert [(g["scene"], g["clips"], g["usable"]) for g in result["groups"]["scene"]] == [
        ("indoors", 3, 3), ("outdoors", 3, 2),
    ]  # fmt: skip
    assert [g["subject"] for g in result["groups"]["subject"]] == ["x", "y", "z"]
    weighted = sum(g["war"] * g["clips"] for g in result["groups"]["scene"]) / 6
    assert weighted == pytest.approx(result["war"])
    low, high = result["intervals"]["war"]
    assert low <= result["war"] <= high and result["intervals"]["drawn"] == "subjects"
    shown = here("train", "evaluate", out / "fold_1", folds_cache, "--clips", "all").stdout
    assert "indoors" in shown and "bootstrap over subjects" in shown
