"""Small made-up caches and a network that learns nothing in a second: for tests of what is done with clips."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from click.testing import CliRunner, Result
from synthetic_cache import SyntheticClip, write_cache

from dfer.train.config import load_config
from dfer.train.data.caches import open_pool
from dfer.train.data.splits import SplitChoice, choose_split
from dfer.train.engine.training import Training
from dfer.train.models.keypoint.network import build

TINY = (
    *("--preset", "quick", "--image-size", 32, "--num-frames", 2, "--stage-strides", "1,2,2,2", "--depth", 1),
    *("--epochs", 1, "--batch-size", 8, "--device", "cpu"),
)


def clip(label: str | None, seed: int, size: int = 32, **about: object) -> SyntheticClip:
    """Two frames of noise that the seed decides."""
    crops = np.random.default_rng(seed).integers(0, 256, (2, size, size, 3), np.uint8)
    return SyntheticClip(label=label, crops=crops, keypoints=np.full((2, 18, 2), size / 2), **about)


def cache(
    folder: Path, name: str, clips: Sequence[SyntheticClip], labels: Sequence[str] | None = None
) -> Path:
    """A cache of the dataset `name`, in the folder of that name."""
    return write_cache(folder / name, clips, labels, dataset=name)


def train(*arguments: object) -> Result:
    """`train` in this process: to start another one takes longer than all its work."""
    from dfer.train.cli import main

    return CliRunner().invoke(main, [*map(str, arguments)], prog_name="train", env={"COLUMNS": "200"})


def done(*arguments: object) -> Result:
    outcome = train(*arguments)
    assert outcome.exit_code == 0, outcome.stderr
    return outcome


def printed(*arguments: object) -> dict:
    """What it prints with --json."""
    return json.loads(done(*arguments, "--json").stdout)


def refused(*arguments: object) -> str:
    """The one line of an error."""
    outcome = train(*arguments)
    assert outcome.exit_code == 1, outcome.stderr
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("train: ")
    return line


def training(cache: Path, preset: str, overrides: dict) -> Training:
    """A training on a cache's own split, on the CPU, at its start."""
    pool, config = open_pool(cache), load_config(preset, overrides)
    network = build(
        config.network, len(pool.labels), config.data.num_frames, config.recipe.seed, pool.keypoints
    )
    return Training(config, pool, choose_split(pool.clips, SplitChoice(), 0), torch.device("cpu"), network)
