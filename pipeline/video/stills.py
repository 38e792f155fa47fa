"""Read stills: image files, and rows of a CSV of pixels, as FER2013 is shipped. Each is a clip of one frame."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dfer.pipeline.records import SourceFacts
from dfer.pipeline.video.not_videos import describe_pointer
from dfer.pipeline.video.sources import EMPTY_FILE, DecodeError

if TYPE_CHECKING:
    from PIL import Image

PIXELS = "pixels"  # the column of a CSV that has them
BLOCK = 1 << 24  # bytes read at a time


class Still:
    """A picture (H, W, 3) uint8 RGB as a clip of one frame."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels
        height, width, _ = pixels.shape
        self.facts = SourceFacts(frames=1, fps=None, duration_s=None, width=width, height=height)

    def read(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        for _ in positions:
            yield self._pixels

    def times(self, positions: Sequence[int]) -> None:
        return None


def read_image(path: Path, name: str = "the image") -> np.ndarray:
    """Read an image as (H, W, 3) uint8 RGB, turned upright as its EXIF data says.

    name: what to call it in the error

    Raises DecodeError.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            upright = _upright(image)
            if upright.mode.startswith("I"):  # 16 bit: Pillow would clip it to white
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            return np.array(upright.convert("RGB"))
    except Image.DecompressionBombError as error:
        most = 2 * Image.MAX_IMAGE_PIXELS  # beyond twice that, Pillow raises the error
        raise DecodeError(f"{name} is too large: it has more than {most / 1e6:.0f} million pixels") from error
    except (OSError, ValueError, SyntaxError) as error:
        if not path.stat().st_size:
            raise DecodeError(EMPTY_FILE) from error
        pointer = describe_pointer(path)
        found = f"is {pointer}" if pointer else "cannot be decoded"
        raise DecodeError(f"{name} {found}") from error


def _upright(image: "Image.Image") -> "Image.Image":
    """Turn an image as its EXIF data says. `ImageOps.exif_transpose` fails if any other tag there is damaged."""
    from PIL import ExifTags
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    image.load()  # a TIFF is turned by this, and says so
    try:
        turn = turns.get(image.getexif().get(ExifTags.Base.Orientation))
    except SyntaxError:  # damaged data next to sound pixels
        turn = None
    return image if turn is None else image.transpose(turn)


def is_row(path: Path) -> bool:
    """Whether a path names a row of a CSV: fer2013.csv/000012."""
    return path.name.isdecimal() and path.parent.suffix.lower() == ".csv" and path.parent.is_file()


def row_text(path: Path) -> bytes:
    """Return the pixels of a row of a CSV as they are written there. Raises DecodeError, OSError."""
    facts = path.parent.stat()
    table = _open_table(path.parent, facts.st_size, facts.st_mtime_ns)
    row = int(path.name)
    if row >= len(table.starts):
        raise DecodeError(f"the CSV has only {len(table.starts)} rows")
    with path.parent.open("rb") as file:
        file.seek(table.starts[row])
        fields = _split(file.read(table.ends[row] - table.starts[row]))
    return fields[table.column] if len(fields) > table.column else b""


def read_row(path: Path) -> np.ndarray:
    """Read a row of a CSV as a grey picture (H, H, 3) uint8. Raises DecodeError, OSError."""
    try:
        numbers = np.array(row_text(path).split(), np.int64)
    except (ValueError, OverflowError):
        raise DecodeError("its pixels are not whole numbers") from None
    if not len(numbers):
        raise DecodeError("its row has no pixels")
    side = round(len(numbers) ** 0.5)
    if side * side != len(numbers):
        raise DecodeError(f"its row has {len(numbers)} pixels, which make no square")
    if numbers.min() < 0 or numbers.max() > 255:
        raise DecodeError("its pixels are not between 0 and 255")
    return np.repeat(numbers.astype(np.uint8).reshape(side, side, 1), 3, axis=2)


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Where the lines of a CSV are, without its header. column: number of the column with the pixels."""

    starts: np.ndarray
    ends: np.ndarray
    column: int


@functools.lru_cache(maxsize=4)
def _open_table(path: Path, size: int, _changed: int) -> _Table:
    """Find the rows of a CSV: 0.2 s for the 300 MB of FER2013. Raises DecodeError, OSError."""
    with path.open("rb") as file:
        breaks, base = [], 0
        while block := file.read(BLOCK):
            breaks.append(np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + base)
            base += len(block)
        ends = np.concatenate([*breaks, [size]]).astype(np.int64)
        starts = np.concatenate([[0], ends[:-1] + 1])
        if starts[-1] == size:  # the last line has its end
            starts, ends = starts[:-1], ends[:-1]
        file.seek(0)
        header = _split(file.read(ends[0]) if len(ends) else b"")
    names = [name.decode("utf-8-sig", "replace").strip().lower() for name in header]
    if PIXELS not in names:
        raise DecodeError(f"the CSV has no column {PIXELS}")
    return _Table(starts=starts[1:], ends=ends[1:], column=names.index(PIXELS))


def _split(line: bytes) -> list[bytes]:
    """The fields of a line. Those before the pixels, and the pixels, are numbers: no comma is quoted."""
    return [field.strip(b' "\r\n') for field in line.split(b",")]
