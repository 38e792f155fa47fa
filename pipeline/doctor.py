"""Check what an extraction needs of this machine, and say how to fix what is missing."""

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from dfer.pipeline.face import mediapipe_tasks
from dfer.pipeline.setup import download, models
from dfer.schemas.support.cores import load_advice
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.processes import available_cores, require_locks
from dfer.schemas.support.text import counted


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check: what was found, and how to fix it if it is not ok. note: neither good nor a fault."""

    name: str
    ok: bool
    found: str
    fix: str = ""
    note: bool = False


LIBRARIES = (
    ("torch", "torch"),  # in one process it must be imported before decord
    ("av", "av"),
    ("decord", "decord2"),
    ("dlib", "dlib-bin"),
    ("mediapipe", "mediapipe"),
    ("polars", "polars"),
    ("pyarrow", "pyarrow"),
    ("joblib", "joblib"),
    ("simplejpeg", "simplejpeg"),
    ("PIL", "pillow"),
)


ENOUGH_FOR_GPUS = 1 << 30  # bytes of /dev/shm, for NCCL


def run_checks(models_folder: Path | None = None) -> Iterator[Check]:
    """Check everything that an extraction needs. Nothing is downloaded or changed."""
    yield Check(name="Python", ok=True, found=f"{platform.python_version()} on {platform.machine()}")
    yield Check(name="cores", ok=True, found=f"{available_cores()} usable")
    yield _check_load()
    yield from _memory_and_disk()
    if sys.platform == "linux":
        yield _check_shared_memory()
    gpus = _gpus()
    without = "none (extraction does not need one; training is slow)"
    yield Check(name="GPU", ok=True, found=gpus or without, note=not gpus)
    for module, distribution in LIBRARIES:
        yield _check_library(module, distribution)
    missing = mediapipe_tasks.missing_system_libraries()
    yield Check(
        name="system libraries for mediapipe",
        ok=not missing,
        found="missing: " + ", ".join(missing) if missing else "installed",
        fix=mediapipe_tasks.fix_system_libraries() if missing else "",
    )
    for model in models.MODEL_FILES:
        yield check_model(model, models_folder)
    yield _check_decoder()


def print_checks(checks: Iterable[Check], as_json: bool) -> bool:
    """Print checks as they are made, or all as JSON; return whether all are ok."""
    made = []
    for check in checks:
        made.append(check)
        if not as_json:
            fine = click.style("note   ", fg="yellow") if check.note else click.style("ok     ", fg="green")
            mark = fine if check.ok else click.style("MISSING", fg="red")
            click.echo(f"{mark}  {check.name}: {check.found}")
            if check.fix:
                click.echo(f"         fix: {check.fix}")
    missing = sum(not check.ok for check in made)
    if as_json:
        click.echo(json.dumps({"missing": missing, "checks": [asdict(check) for check in made]}, indent=2))
    return not missing


def check_model(model: models.ModelFile, folder: Path | None) -> Check:
    """Check that a model file is there and has the right sha256."""
    path = models.find(model, folder)
    if path is None:
        return Check(name=model.name, ok=False, found="not found", fix="pipeline models")
    try:
        download.check_sha256(path, model.sha256)
    except (UserError, OSError) as error:
        return Check(name=model.name, ok=False, found=str(error), fix=f"remove {path}, then: pipeline models")
    return Check(name=model.name, ok=True, found=f"{path} (sha256 ok)")


def _memory_and_disk() -> Iterator[Check]:
    """Memory, and the disk of the current folder."""
    import psutil

    memory, disk = psutil.virtual_memory(), shutil.disk_usage(Path.cwd())
    yield Check(name="memory", ok=True, found=_free(memory.available, memory.total))
    yield Check(name="disk", ok=True, found=f"{_free(disk.free, disk.total)}, at {Path.cwd()}")


def _check_load() -> Check:
    """How busy the cores are: with other programs on them, training on the CPU needs a setting."""
    load, machine = os.getloadavg()[0], os.cpu_count() or 1
    advice = load_advice(load, machine, available_cores(), os.environ)
    found = f"{load:.1f} on {counted(machine, 'core')}, mean of the last minute"
    if advice:
        found += f"; before training on the CPU, {advice}"
    return Check(name="load", ok=True, found=found, note=bool(advice))


def _check_shared_memory() -> Check:
    """Check /dev/shm, which is small in most containers. Only locks are kept there: frames of a training are not."""
    name = "shared memory"
    try:
        require_locks(available_cores())
    except UserError as error:
        return Check(name=name, ok=False, found=str(error), fix="docker run --shm-size 1g …")
    shared = shutil.disk_usage("/dev/shm")
    found = f"{_free(shared.free, shared.total)}, at /dev/shm"
    if shared.total < ENOUGH_FOR_GPUS:
        found += " (enough; only training on several GPUs needs more: docker run --shm-size 1g …)"
    return Check(name=name, ok=True, found=found)


def _free(free: int, total: int) -> str:
    return f"{free / 1e9:.1f} GB free of {total / 1e9:.1f} GB"


def _gpus() -> str:
    """The GPUs that NVIDIA's driver lists, with their memory; empty without a driver."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return "; ".join(found.stdout.splitlines())


def _check_library(module: str, distribution: str) -> Check:
    install = f"pip install {distribution}"
    try:
        version = importlib.metadata.version(distribution)
        importlib.import_module(module)
    except importlib.metadata.PackageNotFoundError:
        return Check(name=module, ok=False, found="not installed", fix=install)
    except (ImportError, OSError) as error:
        fix = mediapipe_tasks.fix_system_libraries() if module == "mediapipe" else install
        return Check(name=module, ok=False, found=f"{version} does not load: {error}", fix=fix)
    return Check(name=module, ok=True, found=version)


def _check_decoder() -> Check:
    """Check that decord decodes a test video: a GIF, the only video that Pillow can write."""
    from tempfile import TemporaryDirectory

    from PIL import Image

    from dfer.pipeline.video.decode import SeekingVideo
    from dfer.pipeline.video.sources import DecodeError

    name, fix = "decoding a test video", "pip install --force-reinstall decord2"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "test.gif"
        frames = [Image.new("RGB", (64, 64), (40 * i, 0, 0)) for i in range(5)]
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
        try:
            count = sum(1 for _ in SeekingVideo(path).read(range(5)))
        except (DecodeError, ImportError) as error:
            return Check(name=name, ok=False, found=str(error), fix=fix)
    return Check(name=name, ok=count == 5, found=f"{count} of 5 frames", fix="" if count == 5 else fix)
