"""A clip on disk, a video file, a frame folder or a still: how to open it, and the fingerprint of its content."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from dfer.data_manifest.disk.file_types import IMAGE_SUFFIXES
from dfer.pipeline.video import decode, stills
from dfer.pipeline.video.frame_folder import FrameFolder, list_images
from dfer.pipeline.video.sources import Source


def ways_to_open(path: Path) -> Iterator[Callable[[], Source]]:
    """Yield functions that open a clip, the best first.

    Opening, or reading frames later, raises DecodeError where a clip cannot be decoded in that way: try the next.
    """
    if path.is_dir():
        yield lambda: FrameFolder(path)
    elif stills.is_row(path):
        yield lambda: stills.Still(stills.read_row(path))
    elif path.suffix.lower() in IMAGE_SUFFIXES:
        yield lambda: stills.Still(stills.read_image(path))
    else:
        yield from decode.ways_to_open(path)


def fingerprint(path: Path) -> str:
    """Compute the sha256 of a file; of a frame folder, of its images' names and bytes in sorted order; of a row of
    a CSV, of its pixels as they are written there.

    Raises OSError; DecodeError where the CSV has no such row.
    """
    if stills.is_row(path):
        return hashlib.sha256(stills.row_text(path)).hexdigest()
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for image in list_images(path):
        content = image.read_bytes()
        digest.update(f"{image.name}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
        digest.update(content)
    return digest.hexdigest()
