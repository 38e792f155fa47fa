"""The commands in train/README.md work as they are written."""

import re
import shlex
from pathlib import Path

import made_up

from dfer.train.commands import benchmark
from dfer.train.commands.measurement import Measurement

README = Path(__file__).parents[2] / "train" / "README.md"
# Appended to these commands, so that they train in a second.
SMALLER = dict.fromkeys(("run", "crossval", "sweep"), made_up.TINY[2:])


def commands() -> list[str]:
    blocks = re.findall(r"^```bash\n(.*?)^```", README.read_text(), re.M | re.S)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]


def test_the_commands_of_the_readme_work_one_after_the_other(here, tmp_path, monkeypatch):
    made_up.cache(tmp_path, "cache", [made_up.clip("ab"[n % 2], n, fold=n // 2 + 1) for n in range(4)])
    monkeypatch.chdir(tmp_path)
    timed = Measurement(
        task="training", batch_size=1, device="cpu", threads=1, clips_per_second=1.0, repetitions=3, memory=1
    )
    monkeypatch.setattr(benchmark, "measure_models", lambda *_, **__: iter([timed]))
    tested = set()
    for command in commands():
        command = re.sub(r"^torchrun --no-python --nproc-per-node \d ", "", command)  # see test_distributed
        program, name, *arguments = shlex.split(command)
        outcome = here(program, name, *arguments, *SMALLER.get(name, ()))
        assert outcome.returncode == 0, (command, outcome.stderr)
        tested.add(name)
    assert tested == {"run", "baseline", "evaluate", "report", "crossval", "sweep", "describe", "benchmark"}
