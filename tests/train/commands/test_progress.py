"""What a terminal shows while a run trains."""

import dataclasses
import io
import os
import pty
import subprocess
import sys

import made_up
import pytest
from rich.console import Console

from dfer.schemas.support.cores import ADVICE, SCHEDULER
from dfer.schemas.support.processes import available_cores
from dfer.train.commands.progress import Notices, training_progress
from dfer.train.results.logs import EpochRow


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    clips = [made_up.clip("happy", 0), made_up.clip("sad", 1)]
    return made_up.cache(tmp_path_factory.mktemp("progress"), "made", clips)


def test_the_live_line_shows_no_figures_before_the_first_step(source):
    prepared = made_up.training(source, "quick", {"image_size": 32, "num_frames": 2, "depth": 1})
    terminal = io.StringIO()
    with training_progress(Console(file=terminal, force_terminal=True, width=80), prepared, Notices()):
        shown = terminal.getvalue()
    assert "epoch 1/20" in shown and "first step" in shown and "nan" not in shown


@pytest.fixture(scope="module")
def shown(program, source, tmp_path_factory):
    """What a real terminal shows of a run in two threads while other programs use all cores, until it says so."""
    if not SCHEDULER.exists():
        pytest.skip("only Linux counts the time without a core")
    out = tmp_path_factory.mktemp("slowed") / "run"
    call = ("run", source, "--out", out, *made_up.TINY, "--epochs", 999)  # more than it needs
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_NUM_THREADS": "2", "TERM": "xterm", "COLUMNS": "200"}
    busy = [sys.executable, "-c", "while True: pass"]
    others: list[subprocess.Popen] = []
    run = subprocess.Popen([*map(str, (program("train"), *call))], stderr=theirs, env=environment)
    os.close(theirs)
    text = b""
    try:
        while not all(expected in text for expected in (ADVICE.encode(), b"loss")):
            text += os.read(ours, 4096)
            if b"first step" in text and not others:
                others += [subprocess.Popen(busy) for _ in range(2 * available_cores())]
    finally:
        for process in (run, *others):
            process.kill()
            process.wait()
        os.close(ours)
    return text.decode()


def test_a_terminal_never_shows_nan(shown):
    assert "first step" in shown and "loss" in shown and "nan" not in shown.lower()


def test_a_run_that_other_programs_slow_down_says_what_to_do(shown):
    assert "other programs use the cores, this run waits for one" in shown


def test_the_line_of_an_epoch_fits_80_columns_and_names_slow_data(source):
    prepared = made_up.training(
        source, "quick", {"image_size": 32, "num_frames": 2, "depth": 1, "epochs": 100}
    )
    figures = dict.fromkeys(("train_war", "test_war", "test_uar", "test_war_usable", "test_uar_usable"), 1.0)
    row = EpochRow(
        epoch=99,
        learning_rate=1e-3,
        train_loss=12.3456,
        train_uar=1.0,
        test_loss=1.0,
        seconds=7200.4,
        clips_per_second=3.0,
        waiting=0.05,
        **figures,
    )
    printed = io.StringIO()
    with training_progress(Console(file=printed, width=80), prepared, Notices()) as callbacks:
        callbacks.on_epoch(row)
        callbacks.on_epoch(dataclasses.replace(row, waiting=0.25))
        callbacks.on_epoch(dataclasses.replace(row, test_war=float("nan")))
    quick, slow, unknown = printed.getvalue().splitlines()
    shares = "train WAR 100.0, test WAR 100.0 UAR 100.0 %"
    assert quick == f"epoch 100/100: loss 12.346, {shares}, 7200 s" and len(quick) <= 80
    assert slow == f"{quick}, waiting for data 25%"
    assert "test WAR – UAR 100.0 %" in unknown
