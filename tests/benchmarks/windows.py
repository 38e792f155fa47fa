"""What windows that overlap cost: a video of 60 s with windows of 2 s, each 0.5 s after the last, against 2 s.

    python tests/benchmarks/windows.py RUN VIDEO

RUN is a run of `train run`, VIDEO any video with a face; it is repeated until it lasts 60 s. Both ways take turns,
with the extraction and, from a cache that is kept, without. Times are those of the processor, of this process and of
the one that extracts, so other programs disturb little.
"""

import argparse
import itertools
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

import av

from dfer import train

SECONDS, FPS, ROUNDS = 60, 25, 3
APART, OVERLAPPING = train.Windows(seconds=2, step=2), train.Windows(seconds=2, step=0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("run", "video"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    predictor = train.load(options.run, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        video, cache = Path(folder) / "long.mp4", Path(folder) / "cache"
        repeat(options.video, video)
        predictor.predict(video, windows=OVERLAPPING, workers=1, keep=cache)
        for name, given in (("prediction alone", cache), ("with extraction", video)):
            compare(name, options.rounds, partial(predictor.predict, given, workers=1))


def compare(name: str, rounds: int, predict: Callable) -> None:
    """Print what each way costs, and the ratio."""
    apart, overlapping, counts = [], [], ()
    for _ in range(rounds):
        counts = tuple(
            measure(partial(predict, windows=windows), costs)
            for windows, costs in ((APART, apart), (OVERLAPPING, overlapping))
        )
    ratio = statistics.median(overlapping) / statistics.median(apart)
    print(
        f"{name}: {counts[0]} windows apart {statistics.median(apart):.2f} s, {counts[1]} windows with 75 % overlap "
        f"{statistics.median(overlapping):.2f} s of the processor, medians of {rounds}: × {ratio:.3f}"
    )


def measure(predict: Callable, costs: list[float]) -> int:
    """Add the processor's seconds to the costs; return the number of windows."""
    before = spent()
    count = len(predict())
    costs.append(spent() - before)
    return count


def spent() -> float:
    """Seconds of the processor so far, of this process and of those it started that have ended."""
    usage = (getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in usage)


def repeat(source: Path, target: Path) -> None:
    """Write a video of SECONDS from the frames of another, over and over."""
    with av.open(str(source)) as video:
        frames = [frame.to_image() for frame in itertools.islice(video.decode(video=0), 100)]
    with av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
        stream.width, stream.height = (side // 2 * 2 for side in frames[0].size)
        stream.pix_fmt = "yuv420p"
        for image in itertools.islice(itertools.cycle(frames), SECONDS * FPS):
            frame = av.VideoFrame.from_image(image).reformat(stream.width, stream.height)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


if __name__ == "__main__":
    main()
