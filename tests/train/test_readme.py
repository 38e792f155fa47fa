"""The commands in train/README.md work as they are written."""

import re
import shlex
from pathlib import Path

import made_up

README = Path(__file__).parents[2] / "train" / "README.md"
# Appended to these commands, so that they train in a second.
SMALLER = {
    **dict.fromkeys(("run", "crossval", "sweep"), made_up.TINY[2:]),
    "compare": ("--image-size", 32, "--num-frames", 2, "--epochs", 1),
    "benchmark": ("--image-size", 32, "--num-frames", 2, "--seconds", 0),
}


def commands() -> list[str]:
    blocks = re.findall(r"^```bash\n(.*?)^```", README.read_text(), re.M | re.S)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]


def test_the_commands_of_the_readme_work_one_after_the_other(here, tmp_path, monkeypatch):
    made_up.cache(tmp_path, "cache", [made_up.clip("ab"[n % 2], n, fold=n // 2 + 1) for n in range(4)])
    monkeypatch.chdir(tmp_path)
    tested = set()
    for command in commands():
        command = re.sub(r"^torchrun --no-python --nproc-per-node \d ", "", command)  # see test_distributed
        program, name, *arguments = shlex.split(command)
        outcome = here(program, name, *arguments, *SMALLER.get(name, ()))
        assert outcome.returncode == 0, (command, outcome.stderr)
        tested.add(name)
    several = {"crossval", "sweep", "compare"}
    assert (
        tested
        == {"run", "baseline", "evaluate", "report", "describe", "benchmark", "export", "predict"} | several
    )
