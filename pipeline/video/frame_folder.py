"""Read clips that are folders of images, with Pillow."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dfer.data_manifest.disk.file_types import IMAGE_SUFFIXES
from dfer.pipeline.records import SourceFacts
from dfer.pipeline.video.sources import NO_IMAGES, DecodeError
from dfer.pipeline.video.stills import read_image

IN_FOLDER = "an image in the folder"


class FrameFolder:
    """A folder of images, sorted by the numbers in their names."""

    def __init__(self, path: Path) -> None:
        self._images = list_images(path)
        if not self._images:
            raise DecodeError(NO_IMAGES)
        self._first = read_image(self._images[0], IN_FOLDER)  # kept, so that it is decoded only once
        height, width, _ = self._first.shape
        self.facts = SourceFacts(
            frames=len(self._images), fps=None, duration_s=None, width=width, height=height
        )

    def read(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        for position in positions:
            yield self._first if position == 0 else read_image(self._images[position], IN_FOLDER)

    def times(self, positions: Sequence[int]) -> None:
        return None


def list_images(folder: Path) -> list[Path]:
    """List the images of a frame folder in order: frame 10 follows frame 9, with or without leading zeros."""
    files = (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    return sorted(files, key=lambda p: (_split_numbers(p.stem), p.name))


def _split_numbers(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
