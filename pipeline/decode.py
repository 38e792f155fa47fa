"""A path to sampled frames, and facts about the source: videos through decord, frame folders through Pillow.

Frames are read one at a time and in order, so that a clip costs one frame of memory however long it is.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from data_manifest.files import IMAGE_SUFFIXES


class DecodeError(Exception):
    """The clip cannot be decoded. The text is a fixed reason, free of paths and addresses."""


@dataclass(frozen=True, kw_only=True)
class SourceFacts:
    """What the container says. fps and duration_s are None for frame folders."""

    frames: int
    fps: float | None
    duration_s: float | None
    width: int
    height: int


class Source(Protocol):
    """An open clip."""

    facts: SourceFacts

    def read(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        """The frames at ascending positions, each (H, W, 3) uint8 RGB. Raises DecodeError."""

    def times(self, positions: Sequence[int]) -> list[float | None]:
        """When these frames are shown, in seconds from the first frame."""


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


def open_source(path: Path) -> Source:
    """Open a video file or a frame folder. Raises DecodeError."""
    return FrameFolder(path) if path.is_dir() else Video(path)


class Video:
    """A video file or GIF, decoded by decord in one thread."""

    def __init__(self, path: Path) -> None:
        import decord

        decord.logging.set_level(decord.logging.QUIET)
        if path.stat().st_size == 0:
            raise DecodeError("the file is empty (0 bytes)")
        try:
            self._reader = decord.VideoReader(str(path), num_threads=1)
            first = self._reader[0].shape
        except Exception as error:
            raise DecodeError(_reason(error)) from error
        frames, fps = len(self._reader), float(self._reader.get_avg_fps())
        self.facts = SourceFacts(
            frames=frames,
            fps=fps if fps > 0 else None,
            duration_s=frames / fps if fps > 0 else None,
            width=first[1],
            height=first[0],
        )

    def read(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        for position in positions:
            try:
                yield self._reader[position].asnumpy()
            except Exception as error:
                raise DecodeError(f"decoding stops early: {_reason(error)}") from error

    def times(self, positions: Sequence[int]) -> list[float | None]:
        starts = self._reader.get_frame_timestamp(list(positions))[:, 0]
        return [float(t) for t in starts]


class FrameFolder:
    """A folder of images, in the order of their names."""

    def __init__(self, path: Path) -> None:
        self._images = _images(path)
        if not self._images:
            raise DecodeError("the folder holds no image")
        height, width, _ = _read_image(self._images[0]).shape
        self.facts = SourceFacts(
            frames=len(self._images), fps=None, duration_s=None, width=width, height=height
        )

    def read(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        for position in positions:
            yield _read_image(self._images[position])

    def times(self, positions: Sequence[int]) -> list[float | None]:
        return [None] * len(positions)


def _images(folder: Path) -> list[Path]:
    files = (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    return sorted(files, key=lambda p: p.name)


def _read_image(path: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DecodeError("an image of the folder cannot be decoded") from error


def _reason(error: Exception) -> str:
    text = str(error)
    if "cannot find video stream" in text:
        return "no video stream in the file (audio only?)"
    if "Error sending packet" in text:
        return "the decoder refuses the video's data"
    return "not a video that the decoder can read"
