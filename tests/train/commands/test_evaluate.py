"""`train evaluate`: predictions, confusion matrix, unusable clips, and groups of clips."""

import json
import resource
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
import torch
from made_up import done, printed

from dfer.train.data.caches import open_pool
from dfer.train.data.dataset import ViewSpec, clip_dataset, in_batches
from dfer.train.data.loader import Loader
from dfer.train.engine import checkpoint
from dfer.train.engine.forward import scores_of

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


def by_hand(run, cache, views):
    """Class probabilities of every clip, mean over views: each view picks among all its frames."""
    saved, pool, cpu = checkpoint.load(run / "last.pt"), open_pool(cache), torch.device("cpu")
    network = checkpoint.restore(saved).eval()
    rows = []
    for clip, kept in enumerate(pool.clips["frames"]):
        dataset = clip_dataset(pool, pool.clips, saved.labels, ViewSpec(frames=kept))
        (every,) = Loader(dataset, 0, cpu).batches(in_batches([clip], 1))
        of_views = []
        for u, flip in views:
            frames = [int((k + u) * kept / 4) for k in range(4)]
            picked = every._replace(frames=every.frames[:, frames], keypoints=every.keypoints[:, frames])
            with torch.inference_mode():
                scores = scores_of(network, picked._replace(flips=torch.tensor([flip])), saved.config, cpu)
            of_views.append(scores.clip.softmax(1)[0].numpy())
        rows.append(np.mean(of_views, axis=0))
    return np.array(rows)


def test_several_views_are_the_mean_over_the_mirror_image_and_shifted_samples(
    small_run, sample_cache, tmp_path
):
    half, quarter = Fraction(1, 2), Fraction(1, 4)
    views = [(half, False), (half, True), (quarter, False), (quarter, True), (3 * quarter, False)]
    found = {}
    for count in (1, 2, 5):
        table = tmp_path / f"{count}.parquet"
        result = printed(
            "evaluate", small_run, sample_cache, "--device", "cpu", "--views", count, "--predictions", table
        )
        assert result["views"] == count
        assert json.loads(pl.read_parquet_metadata(table)["origin"])["views"] == count
        found[count] = pl.read_parquet(table)
        shares = found[count].select(f"p_{label}" for label in LABELS).to_numpy()
        assert shares == pytest.approx(by_hand(small_run, sample_cache, views[:count]), abs=1e-5)
        assert found[count]["predicted"].to_list() == [LABELS[best] for best in shares.argmax(1)]
    assert found[1].equals(pl.read_parquet(small_run / "predictions.parquet"))
    assert not found[2].equals(found[1]) and not found[5].equals(found[2])
    shown = done("evaluate", small_run, sample_cache, "--views", 2).stdout
    assert "mean of the probabilities of 2 views of each clip" in shown


@pytest.mark.parametrize("command", ["evaluate", "baseline"])
def test_figures_are_printed_also_where_their_file_cannot_be_written(
    here, small_run, sample_cache, tmp_path, command
):
    inputs = (small_run, sample_cache) if command == "evaluate" else (sample_cache,)
    table = tmp_path / "predictions.parquet"
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        full = here("train", command, *inputs, "--json", "--predictions", table)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert full.returncode == 1 and not list(tmp_path.iterdir())
    assert len(json.loads(full.stdout)["recall"]) == len(LABELS)
    assert full.stderr.splitlines()[-1].startswith(f"train: cannot write the predictions {table}: ")
