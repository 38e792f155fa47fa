"""decord, but files with certain names crash, hang or exhaust the process.

Put it before the real one on PYTHONPATH. Names: `segfault`, `sigkill`, `hang` (in C, holding the GIL), `eat`
(allocate memory forever), `once` (SIGKILL the first time, decode the second), `moody` (hang until NAME.calm exists),
`stop` (SIGSTOP), `grow` (keep 400 MB).

DECORD_LOADS: how loading the library goes: `standing` still, `dying`, `stopped`, `slow` (3 s of CPU time), `endless`.
"""

import ctypes
import importlib.util
import os
import signal
import sys
import sysconfig
import time
from pathlib import Path

# Load the installed decord under its own name, in place of this module.
_real = Path(sysconfig.get_path("purelib")) / "decord" / "__init__.py"
_spec = importlib.util.spec_from_file_location(
    "decord", _real, submodule_search_locations=[str(_real.parent)]
)
_module = importlib.util.module_from_spec(_spec)
sys.modules["decord"] = _module
_spec.loader.exec_module(_module)
_RealReader = _module.VideoReader
_kept = []


def _load(manner: str) -> None:
    if manner == "standing":
        time.sleep(1000)
    if manner == "dying":
        os.kill(os.getpid(), signal.SIGKILL)
    if manner == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    while manner == "endless" or (manner == "slow" and time.process_time() < 3):
        pass


_load(os.environ.get("DECORD_LOADS", ""))


class VideoReader(_RealReader):
    def __init__(self, uri: str, *args: object, **kwargs: object) -> None:
        name = Path(uri).stem
        if "segfault" in name:
            ctypes.string_at(0)
        if "sigkill" in name:
            os.kill(os.getpid(), signal.SIGKILL)
        calm = "moody" not in name or Path(uri).with_suffix(".calm").exists()
        if "hang" in name or not calm:
            ctypes.PyDLL(None).sleep(1000)
        if "stop" in name:
            os.kill(os.getpid(), signal.SIGSTOP)
        if "grow" in name:
            _kept.append(b"x" * 400_000_000)
            time.sleep(1.1)  # loky looks at a process once a second
        if "eat" in name:
            eaten = []
            while True:
                eaten.append(b"x" * 10_000_000)
        if "once" in name and not (marker := Path(uri).with_suffix(".tried")).exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        super().__init__(uri, *args, **kwargs)


_module.VideoReader = VideoReader
