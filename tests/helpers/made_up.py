"""Small made-up caches, and settings of a network that trains on them in a second."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from click.testing import CliRunner, Result
from synthetic_cache import SyntheticClip, write_cache

from dfer.schemas.keypoints import KeypointSet
from dfer.train.config import load_config
from dfer.train.data.caches import open_pool
from dfer.train.data.splits import SplitChoice, choose_split
from dfer.train.engine.training import Training
from dfer.train.models import registry

TINY = (
    *("--preset", "quick", "--image-size", 32, "--num-frames", 2, "--stage-strides", "1,2,2,2", "--depth", 1),
    *("--epochs", 1, "--batch-size", 8, "--device", "cpu"),
)
# Everything of a training that could have its own state: averages, mixing, order, augmentation, warm-up.
EXTRAS = (
    *("--ema-decay", 0.9, "--mixup", 0.2, "--sampling", "balanced", "--color-jitter", 0.3, "--flip"),
    *("--optimiser", "adamw", "--weight-decay", 0.05, "--schedule", "cosine", "--warmup-epochs", 1),
)


# Another choice than DLIB18, in three regions: brow and eye on each side, mouth; the nose is in none.
TEN = KeypointSet(
    name="ten",
    sources=((19,), (39,), (36,), (24,), (42,), (45,), (48,), (54,), (51,), (30,)),
    labels=tuple(f"point {number}" for number in range(10)),
    regions={"image_left": (0, 1, 2), "image_right": (3, 4, 5), "mouth": (6, 7, 8)},
    flip=(3, 4, 5, 0, 1, 2, 7, 6, 8, 9),
    edges=((0, 1), (1, 2), (3, 4), (4, 5), (1, 9), (4, 9), (9, 8), (6, 8), (7, 8)),
)


def clip(label: str | None, seed: int, size: int = 32, points: int = 18, **about: object) -> SyntheticClip:
    """Make two frames of noise from a seed, with all key-points in the middle."""
    crops = np.random.default_rng(seed).integers(0, 256, (2, size, size, 3), np.uint8)
    return SyntheticClip(label=label, crops=crops, keypoints=np.full((2, points, 2), size / 2), **about)


def cache(
    folder: Path, name: str, clips: Sequence[SyntheticClip], labels: Sequence[str] | None = None
) -> Path:
    """Write the cache of a dataset, in a folder with its name."""
    return write_cache(folder / name, clips, labels, dataset=name)


def train(*arguments: object, columns: int = 200) -> Result:
    """Run `train` in this process: starting another one takes longer than its work."""
    from dfer.train.cli import main

    return CliRunner().invoke(main, [*map(str, arguments)], prog_name="train", env={"COLUMNS": str(columns)})


def done(*arguments: object) -> Result:
    """Run a command that must succeed."""
    outcome = train(*arguments)
    assert outcome.exit_code == 0, outcome.stderr
    return outcome


def printed(*arguments: object) -> dict:
    """Run a command with --json and parse what it prints."""
    return json.loads(done(*arguments, "--json").stdout)


def refused(*arguments: object) -> str:
    """Run a command that must fail with one line, and return the line."""
    outcome = train(*arguments)
    assert outcome.exit_code == 1, outcome.stderr
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("train: ")
    return line


def training(cache: Path, preset: str, overrides: dict) -> Training:
    """Prepare a training on a cache's own split, on the CPU."""
    pool, config = open_pool(cache), load_config(preset, overrides)
    task = config.task(len(pool.labels), pool.keypoints, pool.labels)
    network = registry.build(config.model, config.network, task, config.recipe.seed)
    split = choose_split(pool.clips, SplitChoice(), 0, votes=config.recipe.soft_labels)
    return Training(config, pool, split, torch.device("cpu"), network)
