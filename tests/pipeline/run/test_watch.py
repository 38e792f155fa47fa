"""What a watch says of real processes."""

import os
import signal
import subprocess
import sys
import time

import pytest

from dfer.pipeline.run.watch import Watch

BUSY = "while True: pass"
THREADS = "import hashlib, threading\n" + "\n".join(
    ["work = lambda: [hashlib.sha256(bytes(50_000_000)) for _ in range(1000)]"]
    + ["threading.Thread(target=work, daemon=True).start()"] * 3
    + ["work()"]
)
READING = "import time\nwhile True:\n    open('/dev/zero', 'rb').read(1)\n    time.sleep(0.2)"


@pytest.fixture
def start():
    """Start a Python program, and wait until it runs."""
    started = []

    def run(program):
        line = f"print(flush=True)\n{program}"
        started.append(subprocess.Popen([sys.executable, "-c", line], stdout=subprocess.PIPE))
        started[-1].stdout.read(1)
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def watch_until(process_id, done):
    """Look ten times a second until `done(watch)`, at most for a minute."""
    watch, end = Watch(process_id), time.monotonic() + 60
    while not done(watch):
        watch.look()
        assert time.monotonic() < end, vars(watch)
        time.sleep(0.1)
    return watch


def test_a_busy_process_works_and_never_stands_still(start):
    watch = watch_until(start(BUSY).pid, lambda w: w.worked > 0.5)
    assert watch.still < 0.5 and watch.worked <= watch.passed and watch.memory > 1e6


def test_work_is_at_most_the_time_that_passed_however_many_threads_there_are(start):
    watch = watch_until(start(THREADS).pid, lambda w: w.worked > 0.5)
    assert watch.worked <= watch.passed


def test_a_process_that_waits_stands_still(start):
    watch = watch_until(start("import time; time.sleep(1000)").pid, lambda w: w.still > 0.8)
    assert watch.worked < 0.2


def test_the_time_of_a_stopped_process_stands_still(start):
    process, end = start(BUSY), time.monotonic() + 1
    process.send_signal(signal.SIGSTOP)
    watch = watch_until(process.pid, lambda _: time.monotonic() > end)
    assert watch.passed < 0.3
    process.send_signal(signal.SIGCONT)
    assert watch_until(process.pid, lambda w: w.worked > 0.3).still < 0.3


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs processes that share one core")
def test_time_in_which_a_process_waits_for_a_cpu_does_not_count(start):
    shared = [start(BUSY) for _ in range(5)]
    for process in shared:
        os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
    begun = time.monotonic()
    watch = watch_until(shared[0].pid, lambda w: w.passed > 0.4)
    assert time.monotonic() - begun > 3 * watch.passed and watch.still == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process reads")
def test_a_process_that_reads_now_and_then_does_not_stand_still(start):
    watch = watch_until(start(READING).pid, lambda w: w.passed > 1.5)
    assert watch.still < 1


def test_a_process_that_is_not_there_stands_still():
    assert watch_until(None, lambda w: w.passed > 0.3).still > 0.3


def test_time_in_which_nobody_looked_does_not_count(start):
    watch = Watch(start("import time; time.sleep(1000)").pid)
    watch.look()
    time.sleep(2.5)  # as Ctrl-Z, for both
    watch.look()
    assert watch.passed < 1.5 and watch.still < 1.5
