"""`train crossval` on six clips with made-up subjects and folds."""

import os
import signal
import subprocess
import time

import made_up
import polars as pl
import pytest
from linked_copy import linked_copy
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from dfer.train.results.bootstrap import bootstrap_intervals


def test_every_clip_is_tested_once_by_a_network_that_never_saw_its_subject(crossval, folds_cache):
    out, _ = crossval
    pooled = pl.read_parquet(out / "predictions.parquet")
    assert sorted(pooled["clip_id"]) == sorted(pl.read_parquet(folds_cache / "clips.parquet")["clip_id"])
    assert pooled.group_by("subject").agg(pl.col("fold").n_unique())["fold"].to_list() == [1, 1, 1]
    for fold in (1, 2, 3):
        own = pl.read_parquet(out / f"fold_{fold}" / "predictions.parquet")
        assert own.equals(pooled.filter(fold=fold).drop("fold"))


def test_the_table_has_scikit_learns_figures_of_each_fold_their_mean_and_the_pooled_ones(crossval):
    out, outcome = crossval
    pooled = pl.read_parquet(out / "predictions.parquet")
    table = pl.read_csv(out / "crossval.csv")
    assert table["fold"].to_list() == ["1", "2", "3", "mean", "sd", "pooled"]
    war = [
        accuracy_score(p["label"], p["predicted"]) for p in pooled.partition_by("fold", maintain_order=True)
    ]
    assert table["last_war"].to_list()[:3] == pytest.approx(war)
    assert table["last_war"][3] == pytest.approx(sum(war) / 3)
    assert table["last_war"][5] == pytest.approx(accuracy_score(pooled["label"], pooled["predicted"]))
    uar = balanced_accuracy_score(pooled["label"], pooled["predicted"])
    assert table["last_uar"][5] == pytest.approx(uar)
    usable = pooled.filter("usable")
    expected = accuracy_score(usable["label"], usable["predicted"])
    assert table["last_war_usable"][5] == pytest.approx(expected) and len(usable) == 5
    assert (out / "confusion.png").read_bytes().startswith(b"\x89PNG")
    rows = {line.split("│")[1].strip() for line in outcome.stdout.splitlines() if line.startswith("│")}
    assert {"1", "2", "3", "mean", "sd", "pooled"} <= rows and "best" in outcome.stdout
    found = bootstrap_intervals(pooled, ("a", "b"))
    low, high = (f"{100 * bound:.2f} %" for bound in found.uar)
    assert f"6 clips pooled, last epoch: WAR {100 * table['last_war'][5]:.2f} % (" in outcome.stdout
    assert f"({low} – {high}); 95 % intervals, bootstrap over subjects" in outcome.stdout


def test_a_killed_cross_validation_keeps_finished_folds_and_resumes_within_one(
    crossval, program, here, folds_cache, tiny, tmp_path
):
    out, _ = crossval
    killed = tmp_path / "killed"
    linked_copy(out / "fold_1", killed / "fold_1")
    finished = (killed / "fold_1" / "last.pt").stat().st_mtime_ns
    call = ("crossval", folds_cache, "--folds", "subject:3", "--preset", "quick", *tiny, "--out", killed)
    process = subprocess.Popen([program("train"), *map(str, call), "--save-minutes", "0"])
    while process.poll() is None and not (killed / "fold_2" / "last.pt").exists():
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    outcome = here("train", *call)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr.count("resuming after epoch 0") == 1  # fold 2; fold 3 has not been started
    assert outcome.stderr.count("epoch 1/1") == 2
    assert (killed / "fold_1" / "last.pt").stat().st_mtime_ns == finished
    assert (killed / "crossval.csv").read_text() == (out / "crossval.csv").read_text()


def test_folds_that_do_not_exist_are_one_line(here, folds_cache, sample_cache, tmp_path):
    for folds, source, message in (
        ("subject:9", folds_cache, "the cache has 3 subjects; every fold needs at least one"),
        ("official", sample_cache, f"no folds in {sample_cache}; use --folds clips:5, or leave --folds out"),
        ("clips:7", folds_cache, "the cache has 6 clips with a label; every fold needs at least one"),
        ("clips:٣", folds_cache, "--folds clips:٣: must be official, subject:K or clips:K"),
        ("subjects", folds_cache, "--folds subjects: must be official, subject:K or clips:K"),
        ("subject:1", folds_cache, "with K from 2 to 1000"),
        ("subject:99999999999999999999", folds_cache, "with K from 2 to 1000"),
    ):
        outcome = here("train", "crossval", source, "--out", tmp_path / "out", "--folds", folds)
        (line,) = [line for line in outcome.stderr.splitlines() if line.startswith("train:")]
        assert outcome.returncode == 1 and message in line, line


def test_a_fold_of_clips_is_evaluated_on_its_own_clips_whatever_split_the_cache_has(tmp_path):
    clips = [made_up.clip("ab"[n % 2], n, split=("train", "test")[n // 4]) for n in range(8)]
    cache, out = made_up.cache(tmp_path, "split", clips), tmp_path / "out"
    rows = made_up.printed("crossval", cache, "--out", out, "--folds", "clips:2", *made_up.TINY)["rows"]
    assert [row["clips"] for row in rows[:2]] == [4, 4]
    for fold in (1, 2):
        run = out / f"fold_{fold}"
        kept = pl.read_parquet(run / "predictions.parquet")
        assert sorted(kept["label"]) == ["a", "a", "b", "b"]
        shown = made_up.printed("evaluate", run, cache)
        assert shown["predictions"] == dict(kept.select("clip_id", "predicted").iter_rows())


def test_slurms_signal_stops_a_cross_validation_and_the_same_command_continues_it(
    here, program, folds_cache, crossval, tiny, tmp_path
):
    finished, _ = crossval
    out = tmp_path / "out"
    call = ("crossval", folds_cache, "--out", out, "--folds", "subject:3", "--preset", "quick", *tiny)
    command = [*map(str, (program("train"), *call, "--save-minutes", 0))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not (out / "fold_1" / "last.pt").exists():
            assert process.poll() is None
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGUSR1)
        stderr = process.communicate()[1]
    assert process.returncode == 128 + signal.SIGUSR1, stderr
    assert stderr.endswith("train: interrupted; run the same command again to continue\n")
    assert not (out / "crossval.csv").exists()
    assert here("train", *call).returncode == 0
    assert (out / "crossval.csv").read_text() == (finished / "crossval.csv").read_text()
