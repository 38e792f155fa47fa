"""Which networks learn what only the order of the frames shows, and what only a key-point shows.

    python tests/benchmarks/motion.py [--models c3d,stt]

Trains the small network of every model on two made-up caches and prints a table: WAR on the test clips (chance is
0.5), epochs until it was 0.95, seconds of the CPU. The caches and settings are those of
tests/train/engine/test_learning.py, which trains a few of them.
"""

import argparse
import functools
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from one_clue import Learnt, learn_small, learn_spots, patch_settings, patches_cache, spots_cache

from dfer.train.models.registry import MODELS, PAPER


def learn_patches(folder: Path, model: str) -> Learnt:
    epochs = 16 if model == PAPER else 1
    return learn_small(folder, model, epochs, enough=0.95, **patch_settings(model))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(MODELS), help="names, separated by commas")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':18}{'motion':>8}{'epochs':>8}{'s':>7}{'key-point':>11}{'epochs':>8}{'s':>7}")
    with tempfile.TemporaryDirectory() as folder:
        spots, patches = spots_cache(Path(folder) / "spots"), patches_cache(Path(folder) / "patches")
        for model in options.models.split(","):
            cells = []
            for learned in (
                functools.partial(learn_spots, spots, model),
                functools.partial(learn_patches, patches, model),
            ):
                started = time.process_time()
                try:
                    found = learned()
                    cells += [f"{found.war:.3f}", found.epochs]
                except Exception as error:
                    cells += [type(error).__name__[:8], ""]
                cells.append(f"{time.process_time() - started:.1f}")
            widths = (8, 8, 7, 11, 8, 7)
            row = "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
            print(f"{model:18}{row}", flush=True)


if __name__ == "__main__":
    main()
