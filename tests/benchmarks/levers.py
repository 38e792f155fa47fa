"""What each part of the preset `strong` gives: pre-train on stills, then cross-validate the variants of `levers`.

    python tests/benchmarks/levers.py STILLS CLIPS OUT

STILLS and CLIPS are what `pipeline extract` reads: stills with votes (FER+), and clips whose table has folds. The
table in train/README.md was made with FER+ and 168 clips of CK+, three frames of 48 px each. Every step resumes, so
call it again after an interruption. On one core of a small server it takes about five hours.
"""

import argparse
import subprocess
import sys
from pathlib import Path

FAST = ("--precision", "bfloat16", "--channels-last")
# The clips have three frames, and few of them are trained on: the same small steps for all variants, `paper` as well.
CLIPS = ("--num-frames", 3, "--image-size", 64, "--epochs", 18, "--batch-size", 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("stills", "clips", "out"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    stills, clips = options.out / "stills", options.out / "clips"
    pretrained, levers = options.out / "pretrained", options.out / "levers"
    call("pipeline", "extract", options.stills, "--out", stills, "--blendshapes")
    call("pipeline", "extract", options.clips, "--out", clips, "--blendshapes")
    votes = ("--soft-labels", "--label-smoothing", 0)
    call("train", "run", stills, "--preset", "pretrain", *votes, *FAST, "--out", pretrained, "--resume")
    protocol = ("--folds", "official", "--seeds", "0,1", "--init-from", pretrained)
    call("train", "sweep", "levers", clips, *protocol, *CLIPS, *FAST, "--out", levers)


def call(program: str, *arguments: object) -> None:
    """Run an installed program; end with its exit code if that is not 0."""
    command = [str(Path(sys.executable).with_name(program)), *map(str, arguments)]
    print("$", *command, flush=True)
    code = subprocess.run(command, check=False).returncode
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main()
