"""Time how fast a cache feeds training, compared with a bare JPEG decoder and a loader of the usual kind.

    PYTHONPATH=tests/helpers python tests/benchmarks/feeding.py CACHE [--rounds 7]

CACHE is a real one (`pipeline extract`); its crops are copied into a cache of many clips of 16 crops. The ways are
timed in turn, round by round, so that a change in the machine's speed affects all of them. Prints medians and ratios:

- clips per second of one loader worker, of a bare decoder loop over the same bytes, and of one worker that reads a
  folder of JPEGs with Pillow and prepares each picture separately
- a training step of the paper preset from the cache, and the same step with the batch in memory
- for a cache of 100 000 clips: the time to open it, and the growth of this process's anonymous memory while it reads
  all of them at random
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import simplejpeg
import torch
from networks import build
from rich.console import Console
from rich.table import Table
from synthetic_cache import SyntheticClip, write_cache, write_flat_cache
from torch.utils.data import DataLoader, Dataset

from dfer.schemas.face_shards import ShardReader
from dfer.train.config import load_config
from dfer.train.data.caches import Pool, open_pool, usable
from dfer.train.data.dataset import Batch, ViewSpec, clip_dataset, in_batches
from dfer.train.data.frame_memory import READ_AHEAD
from dfer.train.data.loader import Loader
from dfer.train.data.sampling import epoch_order
from dfer.train.data.splits import SplitChoice, choose_split
from dfer.train.engine.training import Training

FRAMES, BATCH, CLIPS = 16, 16, 256
A_ROUND = 4  # batches: short rounds, since the speed of a shared machine changes within a second
CPU = torch.device("cpu")


def copied(source: Path, target: Path) -> Pool:
    """Make a cache of CLIPS clips of 16 real crops each by repeating the source's clips."""
    cache = open_pool(source)
    table = usable(cache.clips)
    dataset = clip_dataset(cache, table, cache.labels, ViewSpec(frames=FRAMES))
    (batch,) = Loader(dataset, 0, CPU).batches(in_batches(range(len(table)), len(table)))
    crops = batch.frames.permute(0, 1, 3, 4, 2).numpy()
    clips = [
        SyntheticClip(
            label="ab"[number % 2],
            crops=crops[number % len(table)],
            keypoints=batch.keypoints[number % len(table)].numpy(),
        )
        for number in range(CLIPS)
    ]
    return open_pool(write_cache(target, clips))


def stored_bytes(cache: Pool) -> list[list[bytes]]:
    """Read the JPEGs of every clip into memory."""
    reader = ShardReader(cache.folders[0], cache.keypoints.count)
    rows = cache.clips.select("shard", "row", "clip_id").iter_rows()
    return [[bytes(crop) for crop in reader.read(*row).crops] for row in rows]


def bare_loop(clips: list[list[bytes]]) -> float:
    """Seconds to decode everything and keep nothing, the second time: a running worker is warm too."""
    for _ in range(2):
        started = time.perf_counter()
        for clip in clips:
            for jpeg in clip:
                simplejpeg.decode_jpeg(jpeg, colorspace="RGB")
    return time.perf_counter() - started


class FolderOfJpegs(Dataset):
    """What most published trainers do: a folder a clip, and each picture opened, resized, mirrored, converted and
    normalised separately."""

    def __init__(self, root: Path) -> None:
        self.clips = sorted(root.iterdir())
        self.mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        self.std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.stack([self.picture(path) for path in sorted(self.clips[index].iterdir())])

    def picture(self, path: Path) -> torch.Tensor:
        from PIL import Image, ImageOps

        picture = ImageOps.mirror(
            Image.open(path).convert("RGB").resize((112, 112), Image.Resampling.BILINEAR)
        )
        tensor = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div(255)
        return (tensor - self.mean) / self.std


def written_as_files(clips: list[list[bytes]], root: Path) -> FolderOfJpegs:
    for number, clip in enumerate(clips):
        folder = root / f"{number:05d}"
        folder.mkdir(parents=True)
        for frame, jpeg in enumerate(clip):
            (folder / f"{frame:05d}.jpg").write_bytes(jpeg)
    return FolderOfJpegs(root)


def timed(batches: Iterator, count: int) -> float:
    """Seconds for `count` batches of a running worker, after what it had ready and as many more to warm up."""
    for _ in range(READ_AHEAD + count):
        next(batches)
    started = time.perf_counter()
    for _ in range(count):
        next(batches)
    return time.perf_counter() - started


def feeding(cache: Pool, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of each way for A_ROUND batches, in every round."""
    clips = stored_bytes(cache)
    dataset = clip_dataset(cache, cache.clips, cache.labels, ViewSpec(frames=FRAMES))
    ours = Loader(dataset, 1, CPU)
    order = np.concatenate([epoch_order(CLIPS, 0, epoch) for epoch in range(rounds)])
    files = DataLoader(
        written_as_files(clips, folder), BATCH, sampler=order, num_workers=1, prefetch_factor=READ_AHEAD
    )
    fed, usual = ours.batches(in_batches(order, BATCH)), iter(files)
    ways = {
        "bare loop of the decoder": lambda: bare_loop(clips[: A_ROUND * BATCH]),
        "one loader worker": lambda: timed(fed, A_ROUND),
        "a folder of JPEGs, one worker": lambda: timed(usual, A_ROUND),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(-1, rounds):  # the first starts the workers
        for name, way in ways.items():
            taken = way()
            if round_number >= 0:
                seconds[name].append(taken)
            time.sleep(1)  # let the workers finish reading ahead, so that they do not disturb the next way
    return seconds


class InMemory:
    """Replaces a loader: always the same batch."""

    def __init__(self, loader: Loader, batch: Batch) -> None:
        self.dataset, self.batch = loader.dataset, batch

    def batches(self, plan: Iterator) -> Iterator[Batch]:
        for _ in plan:
            yield self.batch


def training_steps(cache: Pool, rounds: int, clips: int) -> dict[str, list[float]]:
    """Seconds of a training step of the paper preset, in every round."""
    config = load_config("paper", {"batch_size": clips})
    split = choose_split(cache.clips, SplitChoice(), 0)
    seconds = {}
    for name in ("a step from the cache", "the same, batch in memory"):
        network = build(config.network, 2, FRAMES, 0, cache.keypoints)
        training = Training(config, cache, split, CPU, network)
        if "memory" in name:
            (batch,) = training.loader.batches(in_batches(range(clips), clips))
            training.loader = InMemory(training.loader, batch)
        seconds[name] = training.steps()
    taken: dict[str, list[float]] = {name: [] for name in seconds}
    for round_number in range(-1, rounds):
        # In alternating order, since a machine that gets slower would always slow the second.
        for name, steps in list(seconds.items())[:: 1 if round_number % 2 else -1]:
            step = next(steps)
            if round_number >= 0:
                taken[name].append(step.seconds)
    return taken


def large_cache(folder: Path, clips: int) -> tuple[float, list[float]]:
    """Seconds to open a cache of very many clips, and anonymous memory in MB after each tenth of its clips."""
    write_flat_cache(folder, clips)
    started = time.perf_counter()
    cache = open_pool(folder)
    dataset = clip_dataset(cache, cache.clips, cache.labels, ViewSpec(frames=4))
    opened = time.perf_counter() - started
    loader, order, memory = Loader(dataset, 0, CPU), epoch_order(clips, 0, 0), []
    for tenth in np.array_split(order, 10):
        for _ in loader.batches(in_batches(tenth, 64)):
            pass
        memory.append(anonymous_memory())
    return opened, memory


def anonymous_memory() -> float:
    """Memory of this process in MB without mapped files."""
    used = psutil.Process().memory_info()
    return (used.rss - used.shared) / 1e6


def show(console: Console, title: str, seconds: dict[str, list[float]], clips: int, base: str) -> None:
    table = Table(title=title, title_justify="left")
    for column in ("", "clips/s", f"speed, {base} = 1"):
        table.add_column(column, justify="right" if column else "left")
    for name, taken in seconds.items():
        ratio = statistics.median(b / a for a, b in zip(taken, seconds[base], strict=True))
        table.add_row(name, f"{clips / statistics.median(taken):.2f}", f"{ratio:.3f}")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clips", type=int, default=100_000, help="of the large cache")
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as scratch:
        cache = copied(options.cache, Path(scratch) / "cache")
        title = f"{FRAMES} crops of {cache.crop_size} px"
        fed = feeding(cache, Path(scratch) / "files", 5 * options.rounds)
        for base in ("bare loop of the decoder", "a folder of JPEGs, one worker"):
            show(console, title, fed, A_ROUND * BATCH, base)
        steps = training_steps(cache, 4 * options.rounds, clips=1)
        show(console, "paper preset, 1 clip", steps, 1, "the same, batch in memory")
        opened, memory = large_cache(Path(scratch) / "large", options.clips)
        console.print(
            f"{options.clips} clips open in {opened:.2f} s; anonymous memory while they are read, MB:"
        )
        console.print(" ".join(f"{value:.0f}" for value in memory))


if __name__ == "__main__":
    main()
