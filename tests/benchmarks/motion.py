"""Which networks learn what only the order of the frames shows, and what only a key-point shows.

    python tests/benchmarks/motion.py [--models c3d,stt] [--epochs 15]

Trains the small network of every model on two made-up caches and prints a table: WAR on the test clips (chance is
0.5), epochs until it was 0.95, seconds of the CPU. The caches and settings are those of
tests/train/engine/test_learning.py, which trains a few of them.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from one_clue import SPOTS, learn_small, patch_settings, patches_cache, spots_cache

from dfer.train.models.registry import MODELS, PAPER


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(MODELS), help="names, separated by commas")
    parser.add_argument("--epochs", type=int, default=15, help="on the moving spots, at most")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':18}{'motion':>8}{'epochs':>8}{'s':>7}{'key-point':>11}{'epochs':>8}{'s':>7}")
    with tempfile.TemporaryDirectory() as folder:
        spots, patches = spots_cache(Path(folder) / "spots"), patches_cache(Path(folder) / "patches")
        for model in options.models.split(","):
            cells = []
            tasks = (
                (spots, options.epochs, SPOTS),
                (patches, 16 if model == PAPER else 1, patch_settings(model)),
            )
            for cache, epochs, settings in tasks:
                started = time.process_time()
                try:
                    found = learn_small(cache, model, epochs, enough=0.95, **settings)
                    cells += [f"{found.war:.3f}", found.epochs]
                except Exception as error:
                    cells += [type(error).__name__[:8], ""]
                cells.append(f"{time.process_time() - started:.1f}")
            widths = (8, 8, 7, 11, 8, 7)
            row = "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
            print(f"{model:18}{row}", flush=True)


if __name__ == "__main__":
    main()
