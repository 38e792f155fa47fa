"""Recognise files that are neither videos nor images, or images with a video's name, by their first bytes."""

import re
from collections.abc import Mapping
from pathlib import Path

from dfer.pipeline.video.sources import EMPTY_FILE, STILL_IMAGE

LOOKED_AT = 512  # bytes
MOVING_JPEGS = (".mjpeg", ".mjpg")  # JPEGs one after another, so they start as one does
JPEG = rb"\xff\xd8\xff"
POINTERS = {
    "a Git LFS pointer, not {}; run `git lfs pull`": rb"version https://git-lfs",
    "a git-annex pointer, not {}; run `git annex get`": rb"(\.\./)*(\.git)?/annex/objects/",
    "a web page, not {}; download the file again": rb"\s*<(!doctype html|html)",
}
KINDS = {
    **{text.format("a video"): form for text, form in POINTERS.items()},
    "an archive, not a video; unpack it": rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!",
    f"{STILL_IMAGE}; give it the name of an image: .jpg, .png": (
        JPEG + rb"|\x89PNG|BM.{4}\0{4}|II\*\0|MM\0\*|RIFF.{4}WEBP|.{4}ftyp(heic|heix|mif1|avif)"
    ),
}


def describe_other_content(path: Path) -> str:
    """Say what a file is in place of a video, and what to do; empty where it may be one. Raises OSError."""
    start = _start_of(path)
    if not start:
        return EMPTY_FILE
    if re.match(JPEG, start) and path.suffix.lower() in MOVING_JPEGS:
        return ""
    return _first_match(KINDS, start)


def describe_pointer(path: Path) -> str:
    """Say what a file is in place of an image, and what to do; empty where it may be one. Raises OSError."""
    return _first_match(POINTERS, _start_of(path)).format("an image")


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LOOKED_AT)


def _first_match(kinds: Mapping[str, bytes], start: bytes) -> str:
    found = (text for text, form in kinds.items() if re.match(form, start, re.DOTALL | re.IGNORECASE))
    return next(found, "")
