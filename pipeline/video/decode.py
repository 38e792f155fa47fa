"""A path to sampled frames, and facts about the source: videos through `video`, frame folders through Pillow.

Frames are read one at a time and in order, so that a clip costs one frame of memory however long it is.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from dfer.data_manifest.disk.scan import IMAGE_SUFFIXES
from dfer.pipeline.records import SourceFacts
from dfer.pipeline.video import video
from dfer.pipeline.video.sources import DecodeError, Source


def sample_positions(frames: int, wanted: int) -> list[int]:
    """The frames kept of a clip: floor((k + 0.5)·n / M) for k = 0…M−1; all of them where n ≤ M."""
    if frames <= wanted:
        return list(range(frames))
    return [(2 * k + 1) * frames // (2 * wanted) for k in range(wanted)]


def fingerprint(path: Path) -> str:
    """sha256 of a file's bytes; of a frame folder, of its images' names and bytes in sorted order."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for image in _images(path):
        content = image.read_bytes()
        digest.update(f"{image.name}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def ways_to_read(path: Path) -> Iterator[Callable[[], Source]]:
    """The ways to read a video file or a frame folder, the best first.

    Opening one raises DecodeError where it cannot be read that way; so may reading its frames.
    """
    if path.is_dir():
        yield lambda: FrameFolder(path)
    else:
        yield from video.ways_to_read(path)


class FrameFolder:
    """A folder of images, in the order of their names."""

    def __init__(self, path: Path) -> None:
        self._images = _images(path)
        if not self._images:
            raise DecodeError("the folder holds no image")
        self._first = _read_image(self._images[0])  # kept, so that it is decoded once
        height, width, _ = self._first.shape
        self.facts = SourceFacts(
            frames=len(self._images), fps=None, duration_s=None, width=width, height=height
        )

    def read(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        for position in positions:
            yield self._first if position == 0 else _read_image(self._images[position])

    def times(self, positions: Sequence[int]) -> list[float | None]:
        return [None] * len(positions)


def _images(folder: Path) -> list[Path]:
    files = (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    return sorted(files, key=lambda p: (_numbers(p.stem), p.name))


def _numbers(name: str) -> list[tuple[int, str]]:
    """A key that puts frame 10 behind frame 9, with or without leading zeros."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _read_image(path: Path) -> np.ndarray:
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):  # which Pillow would clip to white
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            return np.array(upright.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DecodeError("an image of the folder cannot be decoded") from error
