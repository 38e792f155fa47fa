"""Every command that a README shows runs as shown, on small datasets and with settings that make training short."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import made_up
import pytest
import still_trees
import trees

ROOT = Path(__file__).parents[1]
# Those of data_manifest and train have their own tests.
READMES = [ROOT / name for name in ("README.md", "pipeline/README.md", "train/models/README.md")]
SHORT = shlex.split("--image-size 32 --num-frames 2 --epochs 1 --batch-size 8 --device cpu")
SMALL = [*SHORT, "--stage-strides", "1,2,2,2"]
TRAINING = {"run", "crossval", "sweep"}
PLACEHOLDER = re.compile(r"…|\b(CACHE|RUN|SOURCE|OUT|FILE|FOLDER|NAME|I/N)\b")
# What a README leaves to the reader's machine.
HERE = {"$SLURM_ARRAY_TASK_ID/16": "0/1", "--nproc-per-node 4": "--nproc-per-node 2", "~": "."}


def commands(readme: Path) -> list[str]:
    """The commands of a README in order: its bash blocks, but those that CI runs, then those within its text."""
    text = readme.read_text()
    blocks = re.findall(r"(<!-- ci: .* -->\n)?```bash\n(.*?)```", text, re.DOTALL)
    lines = [line for ci, block in blocks if not ci for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    spans = re.findall(r"`((?:pipeline|train|torchrun) [^`\s]+ [^`]*)`", prose.replace("\n", " "))
    shown = [*lines, *(span for span in spans if not PLACEHOLDER.search(span))]
    return [command for line in shown if (command := " ".join(shlex.split(line, comments=True)))]


@pytest.fixture(scope="module")
def home(astronaut, moving_astronaut, write_video, tmp_path_factory) -> Path:
    """A home folder with a dataset to extract, and the caches of others."""
    home = tmp_path_factory.mktemp("readme")
    (home / "data/DFEW").mkdir(parents=True)
    trees.build_dfew(home / "data/DFEW", [moving_astronaut(2)])
    for name in ("video.mp4", "videos/1.mp4", "a.mp4", "b.mp4"):
        write_video(home / name, moving_astronaut(4))
    (home / "data/FERplus").mkdir()
    still_trees.build_ferplus(home / "data/FERplus", [astronaut[20:180, 140:300]])
    for name in ("ferv39k", "afew", "crema-d", "cache"):
        clips = [
            made_up.clip(label, seed, size=128, subject=str(seed), split=("train", "test")[seed % 2])
            for seed, label in enumerate(("happiness", "happiness", "sadness", "sadness"))
        ]
        made_up.cache(home, name, clips)
    (code,) = re.findall(r"^```python\n(.*?)^```", READMES[-1].read_text(), re.M | re.S)
    (home / "mine.py").write_text(code)
    return home


@pytest.fixture(scope="module")
def scheduler():
    """The address of a Dask scheduler with one worker."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def run(command: str, here) -> subprocess.CompletedProcess:
    program, *arguments = command.split()
    if program == "torchrun":
        full = [Path(sys.executable).with_name(program), *arguments, "--preset", "quick", *SMALL]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
        return subprocess.run(full, env=environment, capture_output=True, text=True, timeout=300)
    if program == "train" and arguments[0] in TRAINING:
        preset = [] if "--preset" in arguments or arguments[0] == "sweep" else ["--preset", "quick"]
        arguments += [*preset, *(SHORT if "--model" in arguments else SMALL)]
    if program == "train" and arguments[0] == "compare":
        arguments += SHORT
    if program == "train" and arguments[0] == "benchmark":
        arguments += shlex.split("--image-size 32 --num-frames 2 --seconds 0")
    return here(program, *arguments)


def python_lines(readme: Path) -> list[str]:
    """The Python blocks of a README, but that of a network, which is a file."""
    blocks = re.findall(r"^```python\n(.*?)^```", readme.read_text(), re.MULTILINE | re.DOTALL)
    return [block for block in blocks if not block.startswith("# mine.py")]


def test_every_command_and_python_line_of_the_readmes_runs(here, home, scheduler, monkeypatch):
    monkeypatch.chdir(home)
    substitutes = {**HERE, "tcp://scheduler:8786": scheduler}
    done = []
    for readme in READMES:
        for command in commands(readme):
            for shown, ours in substitutes.items():
                command = command.replace(shown, ours)
            if command in done:
                continue
            done.append(command)
            outcome = run(command, here)
            accepted = (0, 1) if command == "pipeline doctor" else (0,)  # 1: this machine lacks something
            assert outcome.returncode in accepted, f"{readme}: {command}\n{outcome.stdout}{outcome.stderr}"
        for block in python_lines(readme):
            exec(block, {})
            done.append(block)
    assert len(done) > 20
