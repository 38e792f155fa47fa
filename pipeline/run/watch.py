"""Watch a process from outside: how long it has worked, and how long it has stood still.

A clock on the wall blames a process for a busy machine. So time in which it wants a CPU and gets none, or in which
somebody has stopped it, does not count here.
"""

import time
from typing import Any

# More than this between two looks was no time of the process: Ctrl-Z or a suspended machine stopped both.
LONGEST_STEP = 1.0
# psutil's names. A process that waits for a CPU is "running".
NOT_ITS_FAULT = ("running", "stopped", "tracing-stop")


class Watch:
    """What a process has done since the watch began. `look` takes a reading; do it several times a second.

    passed: seconds, without those in which it was kept waiting for a CPU or was stopped
    worked: seconds of CPU time, at most `passed` however many threads it has
    still: seconds in a row, up to now, in which it waited and neither used CPU time nor read or wrote a byte
    memory: resident bytes
    """

    def __init__(self, process_id: int | None) -> None:
        """process_id: None for a process that is not there; it stands still."""
        self._id = process_id
        self.passed = self.worked = self.still = 0.0
        self.memory = 0
        self._looked = time.monotonic()
        self._cpu: float | None = None  # all CPU time of the process
        self._used = 0.0  # that of all threads since the start
        self._activity: Any = None

    def look(self) -> None:
        """Take a reading."""
        now = time.monotonic()
        step, self._looked = min(now - self._looked, LONGEST_STEP), now
        reading = _read(self._id)
        if reading is None:
            self.passed += step
            self.still += step
            return
        cpu, activity, state, self.memory = reading
        used = 0.0 if self._cpu is None else cpu - self._cpu
        if state in NOT_ITS_FAULT:
            step = min(step, used)
        self.passed += step
        self.still = self.still + step if activity == self._activity else 0.0
        self._used += used
        self.worked = min(self.passed, self._used)
        self._cpu, self._activity = cpu, activity


def _read(process_id: int | None) -> tuple[float, Any, str, int] | None:
    """CPU seconds, everything that changes with work or I/O, state and resident bytes; None if it is not there."""
    import psutil

    if process_id is None:
        return None
    try:
        process = psutil.Process(process_id)
        with process.oneshot():
            cpu = process.cpu_times()
            used = cpu.user + cpu.system
            return used, (used, _io(process)), process.status(), process.memory_info().rss
    except psutil.Error:
        return None


def _io(process: Any) -> Any:
    """The counters of what a process read and wrote; None where the system does not tell."""
    import psutil

    try:
        return process.io_counters()
    except (psutil.Error, AttributeError):  # macOS has none, some containers hide them
        return None
