"""Killed or stopped at any moment, a resumed run ends with the weights of one that was never stopped."""

import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import time

import made_up
import polars as pl
import pytest
import torch
from same_run import assert_equal, assert_same_run

from dfer.train.engine import checkpoint

EPOCHS, STEPS = 4, 3  # 6 clips, two a step, one a part


@pytest.fixture(scope="module")
def settings(small):
    return (*small, "--depth", 1, "--batch-size", 2, "--accumulate", 2, "--epochs", EPOCHS, *made_up.EXTRAS)


@pytest.fixture(scope="module")
def never_stopped(here, settings, sample_cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("resume") / "run"
    outcome = here("train", "run", sample_cache, "--out", out, *settings)
    assert outcome.returncode == 0, outcome.stderr
    return out


@pytest.fixture
def start(program, sample_cache):
    """Start `train run` in its own process group, as a terminal or a job manager does."""
    processes = []

    def call(*arguments, cache=sample_cache):
        command = list(map(str, (program("train"), "run", cache, *arguments)))
        processes.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True))
        return processes[-1]

    yield call
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)


def test_a_run_killed_at_random_moments_ends_with_the_same_weights(start, settings, never_stopped, tmp_path):
    out = tmp_path / "run"
    moments = random.Random(4)
    kills = 0
    for _ in range(40):
        process = start("--out", out, *settings, "--resume", "--save-minutes", 0)
        before = (out / "last.pt").stat().st_mtime_ns if (out / "last.pt").exists() else 0
        while process.poll() is None:
            saved = (out / "last.pt").stat().st_mtime_ns if (out / "last.pt").exists() else 0
            if saved != before and kills < 3:  # it takes steps now: kill it within the next few
                time.sleep(moments.uniform(0, 0.6))
                process.kill()
                kills += 1
                break
            time.sleep(0.005)
        process.communicate()
        if process.returncode == 0:
            break
    assert process.returncode == 0 and kills == 3
    assert_same_run(out, never_stopped)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGUSR1]
)  # SLURM sends USR1 before a job's time is over
def test_a_job_managers_signal_saves_the_step_and_a_second_run_in_the_folder_is_refused(
    start, here, settings, never_stopped, sample_cache, tmp_path, number
):
    out = tmp_path / "run [1]"
    call = ("--out", out, *settings, "--resume", "--save-minutes", 0)
    process = start(*call, "--loader-workers", 1)
    wait_for(out / "last.pt", process)
    os.kill(process.pid, signal.SIGSTOP)
    second = here("train", "run", sample_cache, *call)
    (line,) = second.stderr.splitlines()
    assert second.returncode == 1 and f"{out}: another training" in line and "wait until it has" in line
    os.kill(process.pid, signal.SIGCONT)
    os.killpg(process.pid, number)  # as job managers do: its workers get it too
    _, stderr = process.communicate()
    assert process.returncode == 128 + number, stderr
    assert len(stderr.splitlines()) == 4 and "--resume" in stderr.splitlines()[-1], stderr  # nothing else
    assert here("train", "run", sample_cache, *call).returncode == 0  # with another number of workers
    assert_same_run(out, never_stopped)


def test_ctrl_c_saves_the_step_and_explains_how_to_resume(
    start, here, settings, never_stopped, sample_cache, tmp_path
):
    out = tmp_path / "run"
    process = start("--out", out, *settings, "--save-minutes", 0, "--loader-workers", 1)
    wait_for(out / "last.pt", process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: its workers get it too
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "stopping after this step" in stderr and "--resume" in stderr.splitlines()[-1]
    kept = checkpoint.load(out / "last.pt")
    assert (0, 0) < (kept.epoch, kept.consumed) < (EPOCHS, 0)
    refused = here("train", "run", sample_cache, "--out", out, *settings)
    assert refused.returncode == 1 and "--resume" in refused.stderr
    assert here("train", "run", sample_cache, "--out", out, *settings, "--resume").returncode == 0
    assert_same_run(out, never_stopped)


def test_a_checkpoint_restores_the_gradient_scaler(sample_cache, tmp_path):
    """On its own, since float16 is slow on a CPU."""
    size = {"image_size": 32, "num_frames": 2, "stage_strides": (1, 2, 2, 2), "depth": 1, "batch_size": 2}
    one, other = (made_up.training(sample_cache, "quick", {**size, "precision": "float16"}) for _ in range(2))
    next(one.steps())
    assert one.learner.scaler.get_scale() != other.learner.scaler.get_scale()
    checkpoint.save(tmp_path / "last.pt", one.checkpoint())
    other.restore(checkpoint.load(tmp_path / "last.pt"))
    for training in (one, other):
        next(training.steps())
    assert one.learner.scaler.state_dict() == other.learner.scaler.state_dict()
    assert_equal(one.learner.network.state_dict(), other.learner.network.state_dict())


def test_a_stop_during_testing_is_obeyed_and_the_epochs_steps_are_not_lost(start, here, tmp_path):
    """Testing takes most of the time: two clips are trained on, 60 are tested."""
    clips = [made_up.clip("ab"[n % 2], n, split="train" if n < 2 else "test") for n in range(62)]
    cache, out = made_up.cache(tmp_path, "made-up", clips), tmp_path / "run"
    options = (*made_up.TINY, "--batch-size", 2)
    process = start("--out", out, *options, "--save-minutes", 0, cache=cache)
    wait_for(out / "last.pt", process)
    process.terminate()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 143, stderr
    kept = checkpoint.load(out / "last.pt")
    assert (kept.epoch, kept.consumed) == (0, 2)  # all steps of the first epoch, and no figures yet
    assert here("train", "run", cache, "--out", out, *options, "--resume").returncode == 0
    assert here("train", "run", cache, "--out", tmp_path / "other", *options).returncode == 0
    one, other = (checkpoint.load(folder / "last.pt") for folder in (out, tmp_path / "other"))
    assert_equal(one.model, other.model)
    assert pl.read_parquet(out / "predictions.parquet").equals(
        pl.read_parquet(tmp_path / "other" / "predictions.parquet")
    )


def test_predictions_missing_from_a_finished_run_are_made_again(
    here, settings, never_stopped, sample_cache, tmp_path
):
    out = shutil.copytree(never_stopped, tmp_path / "run")
    for name in ("predictions.parquet", "predictions_best.parquet", "confusion.png"):
        (out / name).unlink()
    outcome = here("train", "run", sample_cache, "--out", out, *settings)
    assert outcome.returncode == 0, outcome.stderr
    assert_same_run(out, never_stopped)


def test_another_number_of_threads_is_warned_about(here, settings, never_stopped, sample_cache, tmp_path):
    out = shutil.copytree(never_stopped, tmp_path / "run")
    (out / "confusion.png").unlink()  # as if killed just before its end
    before = torch.get_num_threads()
    threads = 1 if before > 1 else 2
    torch.set_num_threads(threads)
    try:
        outcome = here("train", "run", sample_cache, "--out", out, *settings, "--resume")
    finally:
        torch.set_num_threads(before)
    assert outcome.returncode == 0
    warning = f"warning: {threads} (threads now, {before} before|instead of {before} threads)"
    assert re.search(warning, outcome.stderr)
    assert_same_run(out, never_stopped)


def test_a_full_disk_is_one_line_and_the_run_resumes_when_there_is_room(here, small, sample_cache, tmp_path):
    out = tmp_path / "run"
    call = ("train", "run", sample_cache, "--out", out, *small, "--depth", 1, "--epochs", 1, "--resume")
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, hard))
    try:
        full = here(*call)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert full.returncode == 1
    line = full.stderr.splitlines()[-1]
    assert f"cannot write the run {out}:" in line and "make room, then" in line and "--resume" in line
    assert not list(out.glob("*.pt")) and not list(out.glob(".*.tmp"))
    assert here(*call).returncode == 0


def test_another_cache_other_clips_or_other_settings_are_another_run(
    here, settings, never_stopped, sample_cache, tmp_path
):
    relabelled, reordered = (shutil.copytree(sample_cache, tmp_path / name) for name in ("a", "b"))
    clips = pl.read_parquet(relabelled / "clips.parquet")
    changed = clips.with_columns(pl.col("label").replace({"fear": "sadness"}))
    changed.write_parquet(relabelled / "clips.parquet")
    info = json.loads((reordered / "cache.json").read_text())
    (reordered / "cache.json").write_text(json.dumps({**info, "labels": info["labels"][::-1]}))
    heads = ("--heads", 2, "--no-flip", "--betas", "0.9,0.999")
    words = "--heads 8 instead of --heads 2, --flip instead of --no-flip, --betas 0.9,0.99 instead of --betas"
    for cache, options, difference in (
        (relabelled, (), "(made with other clips)"),
        (reordered, (), "(made with another cache)"),
        (sample_cache, heads, f"(made with {words} 0.9,0.999)"),
    ):
        outcome = here("train", "run", cache, "--out", never_stopped, *settings, "--resume", *options)
        (line,) = outcome.stderr.splitlines()
        assert outcome.returncode == 1 and difference in line and "--out" in line, line


def test_a_run_stopped_before_its_first_save_may_be_started_again_with_anything_else(
    start, here, never_stopped, tmp_path
):
    clips = [made_up.clip("ab"[n % 2], n) for n in range(8)]
    cache, other = made_up.cache(tmp_path, "one", clips), made_up.cache(tmp_path, "other", clips[2:])
    out = tmp_path / "run"
    process = start("--out", out, *made_up.TINY, "--init-from", never_stopped, cache=cache)
    wait_for(out / "run.json", process)
    process.kill()
    process.wait()
    assert (out / "weights.json").exists() and not (out / "last.pt").exists()
    outcome = here("train", "run", other, "--out", out, *made_up.TINY, "--seed", 5)
    assert outcome.returncode == 0, outcome.stderr
    assert "seed = 5" in (out / "settings.toml").read_text() and not (out / "weights.json").exists()
    refused = here("train", "run", other, "--out", out, *made_up.TINY, "--resume")
    assert refused.returncode == 1 and "--seed 5 instead of --seed 0" in refused.stderr


def test_settings_that_a_runs_files_do_not_mention_have_their_defaults(
    here, settings, never_stopped, sample_cache, tmp_path
):
    """So a run resumes after a program version that adds a setting."""
    out = shutil.copytree(never_stopped, tmp_path / "run")
    lines = (out / "settings.toml").read_text().splitlines()
    fewer = [line for line in lines if not line.startswith(("heads = 8", "compile = false"))]
    assert len(fewer) == len(lines) - 2
    (out / "settings.toml").write_text("\n".join(fewer))
    run = json.loads((out / "run.json").read_text())
    del run["split"]["clip_folds"]
    (out / "run.json").write_text(json.dumps(run))
    outcome = here("train", "run", sample_cache, "--out", out, *settings)
    assert outcome.returncode == 0 and outcome.stdout.startswith("nothing to do")


def test_a_run_of_another_version_is_refused_in_one_line(
    here, settings, never_stopped, sample_cache, tmp_path
):
    path, advice = never_stopped / "settings.toml", "use the version that wrote it"
    content = path.read_text()
    for break_it, message in (
        (lambda run: (run / "settings.toml").write_text(content + "brightness = 1\n"), "another version of"),
        (
            lambda run: torch.save({"kind": "dfer-keypoints checkpoint 2"}, run / "last.pt"),
            "has checkpoint format 2",
        ),
    ):
        out = shutil.copytree(never_stopped, tmp_path / message)
        break_it(out)
        outcome = here("train", "run", sample_cache, "--out", out, *settings, "--resume")
        (line,) = outcome.stderr.splitlines()
        assert outcome.returncode == 1 and message in line and advice in line, line


def test_a_run_killed_before_it_wrote_what_it_is_starts_from_the_beginning(
    here, small, sample_cache, tmp_path
):
    out = tmp_path / "run"
    out.mkdir()
    (out / "settings.toml").write_text("[network]\n")
    assert here("train", "run", sample_cache, "--out", out, *small, "--epochs", 1).returncode == 0


def test_a_flipped_bit_in_a_checkpoint_is_noticed(never_stopped, tmp_path, here, sample_cache):
    run = shutil.copytree(never_stopped, tmp_path / "run")
    content = bytearray((run / "last.pt").read_bytes())
    for share in (0.2, 0.5, 0.9):
        place = int(share * len(content))
        content[place] ^= 1
        (run / "last.pt").write_bytes(content)
        content[place] ^= 1
        outcome = here("train", "evaluate", run, sample_cache)
        (line,) = outcome.stderr.splitlines()
        assert outcome.returncode == 1 and "damaged" in line, share
