import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from functools import partial

import psutil
import pytest


@pytest.fixture
def benchmark(program):
    """An endless benchmark and its child processes."""
    command = [program("train"), "benchmark", "--preset", "quick", "--seconds", "1000"]
    # Where pytest runs in the background, SIGINT is ignored, and children inherit that.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    started = []
    while not any("spawn_main" in str(child.cmdline()) for child in started):
        assert process.poll() is None
        time.sleep(0.01)
        started = psutil.Process(process.pid).children()
    yield process, started
    for left in (process, *started):
        with contextlib.suppress(psutil.NoSuchProcess):
            left.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_command_prints_one_line_and_leaves_no_process(benchmark, number):
    process, started = benchmark
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + number, "train: interrupted\n")
    assert not psutil.wait_procs(started, timeout=30)[1]


@pytest.mark.parametrize("name", ["pipeline", "train"])
def test_a_program_that_is_interrupted_while_it_starts_says_so_in_one_line(name, tmp_path):
    """Its command line takes a second to import here, as on a slow disk."""
    (tmp_path / "click.py").write_text("import time; print('importing', flush=True); time.sleep(60)")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from dfer.{name}.__main__ import main; main()"
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code], preexec_fn=heard, **pipes)
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, f"{name}: interrupted\n")


def test_a_killed_command_leaves_no_process(benchmark):
    process, started = benchmark
    process.kill()
    assert not psutil.wait_procs(started, timeout=30)[1]


def redirected(program, redirect, *arguments, **environment):
    """Run `pipeline` as a shell does, with its standard output redirected: the exit code and stderr."""
    command = ["sh", "-c", f'exec "$0" "$@" {redirect}', program("pipeline"), *map(str, arguments)]
    environment = {**os.environ, **environment}
    outcome = subprocess.run(command, stderr=subprocess.PIPE, text=True, env=environment, timeout=600)
    return outcome.returncode, outcome.stderr


@pytest.fixture
def one_file(tmp_path):
    (tmp_path / "clips" / "joy").mkdir(parents=True)
    (tmp_path / "clips" / "joy" / "a.mp4").write_bytes(b"0")
    return tmp_path / "clips"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_standard_output_without_room_is_named(program, one_file, unbuffered):
    printed = redirected(program, "> /dev/full", "manifest", one_file, PYTHONUNBUFFERED=unbuffered)
    reason = f"{os.strerror(errno.ENOSPC)}; make room, then run the same command again"
    assert printed == (1, f"pipeline: cannot write to the standard output: {reason}\n")


def test_a_closed_standard_output_stops_no_worker(program, one_file, tmp_path):
    code, said = redirected(program, ">&-", "extract", one_file, "--out", tmp_path / "cache", "--workers", 1)
    assert (code, "internal error" in said) == (0, False), said
    assert (tmp_path / "cache" / "clips.parquet").exists()
