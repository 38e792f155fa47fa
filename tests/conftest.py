"""Real faces, real files, real processes: what the tests share."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from made_up_clips import face_frames
from tree_files import encode

BIN = Path(sys.executable).parent

# One thread for each of pytest-xdist's workers, before torch is imported: its threads wait busily for a core.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True, scope="module")
def restored_environment():
    """Restore the environment after each module: Dask's local cluster leaves OMP_NUM_THREADS=1 in it."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def cli() -> Callable[..., subprocess.CompletedProcess]:
    """Run an installed program: cli("pipeline", "extract", …) → what it printed and its exit code."""

    def call(program: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess:
        command = [str(BIN / program), *map(str, arguments)]
        env = {**os.environ, "COLUMNS": "200", **environment}
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=600)

    return call


@pytest.fixture(scope="session")
def here() -> Callable[..., subprocess.CompletedProcess]:
    """As `cli`, in this process: to start another one that imports torch takes longer than a small run."""

    def call(program: str, *arguments: object) -> subprocess.CompletedProcess:
        main = importlib.import_module(f"dfer.{program}.cli").main
        command = [*map(str, arguments)]
        outcome = CliRunner().invoke(main, command, prog_name=program, env={"COLUMNS": "200"})
        if outcome.exception and not isinstance(outcome.exception, SystemExit):
            raise outcome.exception
        return subprocess.CompletedProcess(command, outcome.exit_code, outcome.stdout, outcome.stderr)

    return call


@pytest.fixture(scope="session")
def program() -> Callable[[str], Path]:
    """Where an installed program is."""
    return lambda name: BIN / name


@pytest.fixture(scope="session")
def sample_clips(cli, tmp_path_factory) -> Path:
    """The six CREMA-D clips."""
    folder = tmp_path_factory.mktemp("sample") / "clips"
    outcome = cli("pipeline", "sample", folder)
    assert outcome.returncode == 0, outcome.stderr
    return folder


@pytest.fixture(scope="session")
def sample_cache(cli, sample_clips, tmp_path_factory) -> Path:
    """The six clips, extracted by two workers."""
    folder = tmp_path_factory.mktemp("sample") / "cache"
    outcome = cli("pipeline", "extract", sample_clips, "--out", folder, "--workers", 2)
    assert outcome.returncode == 0, outcome.stderr
    return folder


@pytest.fixture(scope="session")
def model_paths():
    """All model files."""
    from dfer.pipeline.face.mediapipe_tasks import close_detectors
    from dfer.pipeline.setup.models import obtain_all

    yield obtain_all()
    close_detectors()


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """A real face in front of a busy background: (512, 512, 3) uint8."""
    from skimage.data import astronaut

    return astronaut()


@pytest.fixture(scope="session")
def moving_astronaut() -> Callable[[int], list[np.ndarray]]:
    """Frames of a head that turns, shifts and grows a little: n frames (240, 320, 3) uint8."""
    return lambda count: face_frames(count, turn=2.0)


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    """Encode frames: write_video(path, frames, codec="mpeg4", fps=25)."""

    def write(path: Path, frames: Sequence[np.ndarray], codec: str = "mpeg4", fps: int = 25) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        encode(path, frames, codec, fps)
        return path

    return write


@pytest.fixture(scope="session")
def astronaut_video(moving_astronaut, write_video, tmp_path_factory) -> Path:
    """Twelve frames of the moving astronaut."""
    return write_video(tmp_path_factory.mktemp("astronaut") / "astronaut.mp4", moving_astronaut(12))


@pytest.fixture(scope="session")
def audio_only(tmp_path_factory) -> Path:
    """A sound file with a video's name."""
    import av

    path = tmp_path_factory.mktemp("audio") / "audio.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        samples.rate = 44100
        container.mux(stream.encode(samples))
        container.mux(stream.encode(None))
    return path
