"""What this machine has and lacks for an extraction, and how to mend each."""

import importlib.metadata
import importlib.util
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dfer.pipeline.face import mediapipe_tasks
from dfer.pipeline.setup import fetch, models
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.processes import available_cores


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at: ok or not, what was seen, and how to mend it where it is not ok."""

    name: str
    ok: bool
    seen: str
    mend: str = ""


LIBRARIES = (
    ("torch", "torch"),  # in one process it has to be imported before decord
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


def examine(folder: Path | None = None) -> Iterator[Finding]:
    """Look at everything an extraction needs. Nothing is fetched or changed."""
    yield Finding(name="Python", ok=True, seen=f"{platform.python_version()} on {platform.machine()}")
    yield Finding(name="cores", ok=True, seen=f"{available_cores()} usable")
    yield from _examine_room()
    yield Finding(
        name="GPU", ok=True, seen=_gpus() or "no GPU found (extraction needs none, training is slow)"
    )
    for module, distribution in LIBRARIES:
        yield _examine_library(module, distribution)
    missing = mediapipe_tasks.missing_system_libraries()
    yield Finding(
        name="graphics libraries for mediapipe",
        ok=not missing,
        seen="missing: " + ", ".join(missing) if missing else "all there",
        mend=mediapipe_tasks.mend_system_libraries() if missing else "",
    )
    for model in models.MODEL_FILES:
        yield examine_model(model, folder)
    yield _examine_decoder()


def examine_model(model: models.ModelFile, folder: Path | None) -> Finding:
    """Where a model file is and whether its sha256 holds."""
    path = models.find(model, folder)
    if path is None:
        return Finding(name=model.name, ok=False, seen="not here", mend="pipeline models")
    try:
        fetch.check_sha256(path, model.sha256)
    except (UserError, OSError) as error:
        return Finding(
            name=model.name, ok=False, seen=str(error), mend=f"remove {path}, then: pipeline models"
        )
    return Finding(name=model.name, ok=True, seen=f"{path} (sha256 holds)")


def _examine_room() -> Iterator[Finding]:
    """Memory, and the disk on which the caches of this folder would lie."""
    import psutil

    memory, disk = psutil.virtual_memory(), shutil.disk_usage(Path.cwd())
    yield Finding(name="memory", ok=True, seen=_free(memory.available, memory.total))
    yield Finding(name="disk", ok=True, seen=f"{_free(disk.free, disk.total)}, at {Path.cwd()}")


def _free(free: int, total: int) -> str:
    return f"{free / 1e9:.1f} GB free of {total / 1e9:.1f} GB"


def _gpus() -> str:
    """The GPUs that NVIDIA's driver knows, with their memory; empty where there is no driver."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return "; ".join(found.stdout.splitlines())


def _examine_library(module: str, distribution: str) -> Finding:
    try:
        found = importlib.metadata.version(distribution)
        importlib.import_module(module)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name=module, ok=False, seen="not installed", mend=f"pip install {distribution}")
    except (ImportError, OSError) as error:
        mend = (
            mediapipe_tasks.mend_system_libraries()
            if module == "mediapipe"
            else f"pip install {distribution}"
        )
        return Finding(name=module, ok=False, seen=f"{found}, does not load: {error}", mend=mend)
    return Finding(name=module, ok=True, seen=found)


def _examine_decoder() -> Finding:
    """Whether a video that is made on the spot can be decoded: a GIF, the one kind that Pillow can write."""
    from tempfile import TemporaryDirectory

    from PIL import Image

    from dfer.pipeline.video import decode
    from dfer.pipeline.video.sources import DecodeError

    name = "decoding a test video"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "test.gif"
        frames = [Image.new("RGB", (64, 48), (40 * i, 0, 0)) for i in range(5)]
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
        try:
            with_decord = next(decode.ways_to_read(path))
            count = sum(1 for _ in with_decord().read(range(5)))
        except (DecodeError, ImportError) as error:
            return Finding(name=name, ok=False, seen=str(error), mend="pip install --force-reinstall decord2")
    return Finding(name=name, ok=count == 5, seen=f"{count} of 5 frames")
