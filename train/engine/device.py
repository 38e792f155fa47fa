"""The device that the network runs on, and what torch.compile needs there."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig

import torch

from dfer.schemas.support.errors import UserError

KINDS = ("cpu", "cuda", "mps")  # torch knows more; these are supported


def choose_device(name: str) -> torch.device:
    """Return the named device; `auto` is CUDA, else Apple's MPS, else the CPU.

    Under torchrun each process takes the GPU of its local rank.
    Raises UserError if the device is unknown, missing or not working.
    """
    try:
        device = torch.device(_best() if name == "auto" else name)
    except RuntimeError:
        device = None
    if device is None or device.type not in KINDS:
        raise UserError(f"--device {name}: unknown device; give auto, cpu, cuda or mps")
    device = _own(device)
    if (device.index or 0) >= _count(device.type):
        raise UserError(f"--device {name}: this machine has no {device}; give auto or cpu")
    try:
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # present, but its driver fails
        reason = str(error).split("\n")[0]
        raise UserError(f"--device {name}: {reason}; give auto or cpu") from None
    return device


def check_compiler(device: torch.device) -> None:
    """Check that torch.compile finds what it needs for this device: it compiles at the first step, not before.

    Raises UserError that says what is missing.
    """
    if device.type == "cuda":
        if importlib.util.find_spec("triton") is None:
            raise UserError(f"--compile on {device} needs Triton: pip install triton, or leave out --compile")
        language, variable, names, library = "C", "CC", ("gcc", "clang"), ""
    else:
        names = ("clang++",) if sys.platform == "darwin" else ("g++",)  # the ones that torch tries
        language, variable, library = "C++", "CXX", "#include <vector>\n"
    asked = os.environ.get(variable)
    compiler = asked or next(filter(shutil.which, names), names[0])
    reason = _compile_error(compiler, language, f"{library}#include <Python.h>\n")
    if reason:
        raise UserError(
            f"--compile on {device} needs a {language} compiler and Python's headers ({compiler}: {reason}); "
            f"install them (on Debian: {names[0]} and python3-dev), set {variable} to another compiler, or leave out "
            "--compile"
        )


def _compile_error(compiler: str, language: str, program: str) -> str:
    """Compile a program without writing anything; the first error, empty if there is none."""
    command = [compiler, f"-I{sysconfig.get_path('include')}", "-fsyntax-only", "-x", language.lower(), "-"]
    try:
        outcome = subprocess.run(command, input=program, capture_output=True, text=True)
    except OSError as error:
        return error.strerror or type(error).__name__
    return (outcome.stderr.strip().splitlines() or ["it fails"])[0] if outcome.returncode else ""


def _count(kind: str) -> int:
    """Number of devices of a kind on this machine."""
    if kind == "cuda":
        return torch.cuda.device_count()
    return int(kind == "cpu" or torch.backends.mps.is_available())


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _own(device: torch.device) -> torch.device:
    if device.type != "cuda" or "LOCAL_RANK" not in os.environ:
        return device
    if device.index is None:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    if int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 1:
        raise UserError(
            f"--device {device}: all processes would share it; give cuda to use one GPU per process"
        )
    return device
