import contextlib
import signal
import subprocess
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


def test_a_killed_command_leaves_no_process(benchmark):
    process, started = benchmark
    process.kill()
    assert not psutil.wait_procs(started, timeout=30)[1]
