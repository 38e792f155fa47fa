"""Kills at any moment; the run that goes on must come to the weights of one that was never stopped."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from functools import partial

import made_up
import polars as pl
import pytest
import torch

from dfer.train.engine import checkpoint

# All that could carry a state of its own: averages, mixing, order, augmentation, warm-up.
EXTRAS = (
    *("--ema-decay", 0.9, "--mixup", 0.2, "--sampling", "balanced", "--colour", 0.3, "--flip"),
    *("--optimiser", "adamw", "--weight-decay", 0.05, "--schedule", "cosine", "--warmup-epochs", 1),
)
TIMED = ("seconds", "clips_per_second", "waiting")


@pytest.fixture(scope="module")
def settings(small):
    return (*small, "--batch-size", 1, "--epochs", 3, *EXTRAS)


@pytest.fixture(scope="module")
def never_stopped(cli, settings, sample_cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("resume") / "run"
    outcome = cli("train", "run", sample_cache, "--out", out, *settings)
    assert outcome.returncode == 0, outcome.stderr
    return out


def assert_the_same_run(found, expected):
    for name in ("last.pt", "best.pt"):
        one, other = checkpoint.load(found / name), checkpoint.load(expected / name)
        assert_equal(one.model, other.model)
    assert not one.state  # best.pt is only to predict with
    one, other = (checkpoint.load(folder / "last.pt").state for folder in (found, expected))
    assert_equal(one["weights"], other["weights"])
    assert_equal(one["optimiser"]["state"], other["optimiser"]["state"])
    assert one["scaler"] == other["scaler"] and one["averaged"] == other["averaged"]
    for name in ("predictions.parquet", "predictions_best.parquet"):
        assert pl.read_parquet(found / name, glob=False).equals(pl.read_parquet(expected / name))
    rows = [pl.read_csv(out / "metrics.csv", glob=False).drop(TIMED) for out in (found, expected)]
    assert rows[0].equals(rows[1])
    assert {path.name for path in found.iterdir()} == {path.name for path in expected.iterdir()}


def assert_equal(one, other):
    """Of nested mappings of tensors, bit for bit."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, dict):
            assert_equal(value, other[name])
        else:
            assert torch.equal(value, other[name]), name


def test_a_run_killed_at_random_moments_ends_in_the_same_weights(
    program, settings, never_stopped, sample_cache, tmp_path
):
    out = tmp_path / "run"
    command = [program("train"), "run", sample_cache, "--out", out, *settings]
    command = list(map(str, [*command, "--resume", "--save-minutes", 0]))
    moments = random.Random(4)
    kills = 0
    for _ in range(40):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        before = (out / "last.pt").stat().st_mtime_ns if (out / "last.pt").exists() else 0
        while process.poll() is None:
            saved = (out / "last.pt").stat().st_mtime_ns if (out / "last.pt").exists() else 0
            if (
                saved != before and kills < 6
            ):  # it is in the middle of its steps: kill it between two and six later
                time.sleep(moments.uniform(0, 0.6))
                process.kill()
                kills += 1
                break
            time.sleep(0.005)
        process.communicate()
        if process.returncode == 0:
            break
    assert process.returncode == 0 and kills >= 3
    assert_the_same_run(out, never_stopped)


def test_a_signal_to_the_whole_group_saves_the_step_and_nobody_else_is_let_in(
    program, cli, settings, never_stopped, sample_cache, tmp_path
):
    out = tmp_path / "run [1]"
    call = (
        "run",
        sample_cache,
        "--out",
        out,
        *settings,
        "--resume",
        "--save-minutes",
        0,
        "--loader-workers",
        1,
    )
    command = list(map(str, (program("train"), *call)))
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (out / "last.pt").exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGSTOP)
    second = cli("train", *call)
    assert second.returncode == 1
    assert second.stderr.endswith(f"{out}: another training is at work in it; wait until it has ended\n")
    os.kill(process.pid, signal.SIGCONT)
    os.killpg(process.pid, signal.SIGTERM)  # as job managers do: its workers hear it too
    _, said = process.communicate()
    assert process.returncode == 143, said
    assert cli("train", *call).returncode == 0
    assert_the_same_run(out, never_stopped)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_ctrl_c_in_a_terminal_reaches_the_workers_too_and_saves_the_step(
    program, cli, small, sample_cache, tmp_path, accumulate
):
    out = tmp_path / "run"
    options = (*small, "--batch-size", 2, "--accumulate", accumulate, "--epochs", 500, "--loader-workers", 1)
    command = list(map(str, (program("train"), "run", sample_cache, "--out", out, *options)))
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (out / "last.pt").exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.splitlines()[-1].endswith("--resume goes on from here")
    kept = checkpoint.load(out / "last.pt")
    assert 6 * kept.epoch + kept.consumed > 0


def test_a_stop_is_heard_while_clips_are_judged_and_the_epochs_steps_are_not_lost(program, cli, tmp_path):
    """Judging takes most of the time: two clips are trained on, 60 are judged."""
    clips = [made_up.clip("ab"[n % 2], n, split="train" if n < 2 else "test") for n in range(62)]
    cache, out = made_up.cache(tmp_path, "made-up", clips), tmp_path / "run"
    options = (*made_up.TINY, "--batch-size", 2)
    call = (program("train"), "run", cache, "--out", out, *options, "--save-minutes", 0)
    command = list(map(str, call))
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (out / "last.pt").exists():
        assert process.poll() is None
        time.sleep(0.002)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    kept = checkpoint.load(out / "last.pt")
    assert (kept.epoch, kept.consumed) == (0, 2)  # all steps of the first epoch, and no figures yet
    assert cli(*("train", "run", cache, "--out", out, *options, "--resume")).returncode == 0
    assert cli(*("train", "run", cache, "--out", tmp_path / "other", *options)).returncode == 0
    one, other = (checkpoint.load(folder / "last.pt") for folder in (out, tmp_path / "other"))
    assert_equal(one.model, other.model)
    assert pl.read_parquet(out / "predictions.parquet").equals(
        pl.read_parquet(tmp_path / "other" / "predictions.parquet")
    )


def test_predictions_that_a_finished_run_has_lost_are_made_again(
    cli, settings, never_stopped, sample_cache, tmp_path
):
    out = shutil.copytree(never_stopped, tmp_path / "run")
    for name in ("predictions.parquet", "predictions_best.parquet", "confusion.png"):
        (out / name).unlink()
    outcome = cli("train", "run", sample_cache, "--out", out, *settings)
    assert outcome.returncode == 0, outcome.stderr
    assert_the_same_run(out, never_stopped)


def test_a_cache_whose_labels_come_in_another_order_is_another_run(
    cli, settings, never_stopped, sample_cache, tmp_path
):
    cache = shutil.copytree(sample_cache, tmp_path / "cache")
    info = json.loads((cache / "cache.json").read_text())
    (cache / "cache.json").write_text(json.dumps({**info, "labels": info["labels"][::-1]}))
    outcome = cli("train", "run", cache, "--out", never_stopped, *settings, "--resume")
    assert outcome.returncode == 1 and "holds another run (another cache); give" in outcome.stderr


def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(
    program, cli, small, sample_cache, tmp_path
):
    out = tmp_path / "run"
    call = ("run", sample_cache, "--out", out, *small, "--epochs", 1, "--resume")
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))
    command = list(map(str, (program("train"), *call)))
    full = subprocess.run(command, stderr=subprocess.PIPE, text=True, preexec_fn=limit)
    assert full.returncode == 1
    assert f"cannot write the run {out}:" in full.stderr
    assert "; make room; the same command goes on (`train run`: with --resume)\n" in full.stderr
    assert not list(out.glob("*.pt")) and not list(out.glob(".*.tmp"))
    assert cli("train", *call).returncode == 0


def test_ctrl_c_saves_the_step_and_says_how_to_go_on(
    program, cli, settings, never_stopped, sample_cache, tmp_path
):
    out = tmp_path / "run"
    command = list(map(str, [program("train"), "run", sample_cache, "--out", out, *settings]))
    process = subprocess.Popen(
        [*command, "--save-minutes", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not (out / "last.pt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopping after this step" in errors and "--resume goes on from here" in errors
    kept = checkpoint.load(out / "last.pt")
    assert (kept.epoch, kept.consumed) < (3, 0)
    refused = cli("train", "run", sample_cache, "--out", out, *settings)
    assert refused.returncode == 1 and "--resume goes on with it" in refused.stderr
    assert cli("train", "run", sample_cache, "--out", out, *settings, "--resume").returncode == 0
    assert_the_same_run(out, never_stopped)


def test_another_number_of_threads_is_warned_of(cli, settings, never_stopped, sample_cache, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(never_stopped, out)
    before = checkpoint.load(out / "last.pt").state["threads"]
    threads = 1 if before > 1 else 2
    (out / "confusion.png").unlink()  # as if killed just before its end
    other = cli(
        "train", "run", sample_cache, "--out", out, *settings, "--resume", OMP_NUM_THREADS=str(threads)
    )
    assert other.returncode == 0
    assert f"warning: {threads} threads now, {before} before" in other.stderr
    assert_the_same_run(out, never_stopped)


def test_resume_without_a_run_starts_one_and_with_other_settings_is_refused(
    cli, settings, never_stopped, sample_cache, tmp_path
):
    out = tmp_path / "run"
    outcome = cli("train", "run", sample_cache, "--out", out, *settings, "--resume", "--epochs", 1)
    assert outcome.returncode == 0
    other = cli(
        "train", "run", sample_cache, "--out", out, *settings, "--resume", "--epochs", 1, "--heads", 2
    )
    (line,) = other.stderr.splitlines()
    assert other.returncode == 1 and "heads = 8" in line and "give another --out" in line


def test_a_cache_whose_clips_have_changed_is_another_run(
    cli, settings, never_stopped, sample_cache, tmp_path
):
    cache = shutil.copytree(sample_cache, tmp_path / "cache")
    clips = pl.read_parquet(cache / "clips.parquet")
    clips.with_columns(label=pl.col("label").replace({"fear": "sadness"})).write_parquet(
        cache / "clips.parquet"
    )
    info = json.loads((cache / "cache.json").read_text())
    assert info["labels"]
    outcome = cli("train", "run", cache, "--out", never_stopped, *settings)
    (line,) = outcome.stderr.splitlines()
    assert outcome.returncode == 1 and "holds another run (other clips); give" in line


def test_a_run_killed_before_it_said_what_it_is_starts_anew(cli, settings, sample_cache, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / "settings.toml").write_text("[network]\n")
    assert cli("train", "run", sample_cache, "--out", out, *settings, "--epochs", 1).returncode == 0


@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
def test_a_flipped_bit_in_a_checkpoint_is_noticed(never_stopped, tmp_path, cli, sample_cache, place):
    run = shutil.copytree(never_stopped, tmp_path / "run")
    content = bytearray((run / "last.pt").read_bytes())
    content[int(place * len(content))] ^= 1
    (run / "last.pt").write_bytes(content)
    outcome = cli("train", "evaluate", run, sample_cache)
    (line,) = outcome.stderr.splitlines()
    assert outcome.returncode == 1 and "damaged" in line
