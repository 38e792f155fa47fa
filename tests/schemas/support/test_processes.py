"""Signals in real processes."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import threading

import psutil
import pytest

from dfer.schemas.support.errors import Interrupted
from dfer.schemas.support.processes import (
    STOP_SIGNALS,
    job_signals_kill,
    job_signals_raise,
    signals_blocked,
    stop_request,
)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_stop_request_waits_for_a_check(number):
    with stop_request() as stop:
        stop.check()
        signal.raise_signal(number)
        with pytest.raises(Interrupted) as stopped:
            stop.check()
        stop.number = 0
    assert stopped.value.number == number


def test_a_signal_after_the_last_check_is_raised_at_the_end():
    with pytest.raises(Interrupted), stop_request():
        signal.raise_signal(signal.SIGINT)


def test_a_second_signal_stops_at_once_but_a_copy_of_the_first_does_not(monkeypatch, capsys):
    with stop_request("stopping") as stop:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # as torchrun passes its own on
        monkeypatch.setattr("dfer.schemas.support.processes.REPEAT_SECONDS", 0.0)
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGINT)
    assert stop.number == signal.SIGINT
    assert capsys.readouterr().err == "stopping\n"


def test_handlers_are_restored():
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    with stop_request("stopping"), job_signals_raise(), job_signals_kill(), signals_blocked(*STOP_SIGNALS):
        pass
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


def test_a_thread_changes_no_handler():
    seen = []

    def look():
        with stop_request("stopping"):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def test_a_signal_during_the_start_of_a_process_is_raised_after_it():
    steps = []
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored where pytest runs in the background
    with pytest.raises(KeyboardInterrupt), signals_blocked(*STOP_SIGNALS):
        # Another thread may get a signal that this one blocks; Python then acts on it in the main thread.
        sender = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT))
        sender.start()
        sender.join()
        sum(range(100_000))
        steps.append("started")
    signal.signal(signal.SIGINT, before)
    assert steps == ["started"]


CHILD = """
import os, sys, time
from dfer.schemas.support.processes import end_with_parent
parent = int(sys.argv[1])
end_with_parent(parent)
print("ready", flush=True)
time.sleep(60)
"""
PARENT = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}, str(os.getpid())])
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_process_ends_when_its_parent_is_killed():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    assert parent.stdout.readline() == "ready\n"
    parent.kill()
    parent.wait()
    assert not psutil.wait_procs([child], timeout=10)[1]


def test_a_process_whose_parent_is_gone_already_ends_at_once():
    child = subprocess.run([sys.executable, "-c", CHILD, "1"], capture_output=True, text=True, timeout=30)
    assert (child.returncode, child.stdout) == (-signal.SIGKILL, "")


def test_a_hangup_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    with stop_request() as stop, job_signals_raise():
        signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN and not stop.number
    signal.signal(signal.SIGHUP, before)


SAVING = """
import sys, time
from pathlib import Path
from dfer.schemas.support.processes import job_signals_raise, stop_request
with job_signals_raise(), stop_request("stopping") as stop:
    print("ready", flush=True)
    while not stop.number:
        time.sleep(0.01)
    print("saved", flush=True)
    Path(sys.argv[1]).touch()
"""


def test_a_closed_terminal_is_a_stop_request_and_no_error(tmp_path):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", SAVING, tmp_path / "saved"]
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    process = subprocess.Popen(
        command, **streams, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    )
    os.close(theirs)
    assert b"ready" in os.read(ours, 100)
    os.close(ours)
    assert process.wait(30) == 0 and (tmp_path / "saved").exists()


def test_a_signal_that_comes_twice_does_not_break_off_the_clean_up():
    steps = []
    with pytest.raises(Interrupted), job_signals_raise():
        try:
            signal.raise_signal(signal.SIGHUP)
        finally:
            signal.raise_signal(signal.SIGHUP)
            steps.append("removed")
    assert steps == ["removed"]
