"""Test whether a long extraction leaks memory: two workers extract the same clips again and again.

    python tests/benchmarks/soak.py CLIPS [--clips 2000] [--workers 2]

Prints clips per second, and the resident memory of the largest worker and of the parent process, ten times.
CLIPS is a folder of videos (`pipeline sample CLIPS` downloads six).
"""

import argparse
import itertools
import time
from pathlib import Path

import psutil

from dfer.pipeline.config import ExtractConfig, RunOptions
from dfer.pipeline.run.build import make_extractor
from dfer.pipeline.run.workers import extract_clips
from dfer.schemas.keypoints import DLIB18


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--frames", type=int, default=16)
    options = parser.parse_args()
    videos = sorted(p for p in options.folder.iterdir() if p.suffix not in (".txt", ".md"))
    batches = (
        [((0, i), path)] for i, path in zip(range(options.clips), itertools.cycle(videos), strict=False)
    )
    extractor = make_extractor(ExtractConfig(frames=options.frames), DLIB18, RunOptions())
    results, this = extract_clips(batches, extractor, options.workers, RunOptions()), psutil.Process()
    started, largest = None, 0
    print("clips  clips/s  largest worker so far, MB  parent, MB")
    for done, _ in enumerate(results, 1):
        started = started or time.perf_counter()  # the models are loaded when the first clip is done
        if done % 20 == 0:
            sizes = (child.memory_info().rss for child in this.children(recursive=True) if child.is_running())
            largest = max(largest, *sizes)
        if done % max(1, options.clips // 10) == 0:
            speed = (done - 1) / (time.perf_counter() - started)
            print(
                f"{done:5}  {speed:7.2f}  {largest / 1e6:25.0f}  {this.memory_info().rss / 1e6:10.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
