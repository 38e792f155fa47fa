"""Recognise files that are no videos by their first bytes, whatever their names."""

import re
from pathlib import Path

STILL_IMAGE = "a still image, not a video; give a video or a folder of frames"
LFS_POINTER = "a Git LFS pointer, not a video; run `git lfs pull`"

LOOKED_AT = 512  # bytes
MOVING_JPEGS = (".mjpeg", ".mjpg")  # JPEGs one after another, so they start as one does
JPEG = rb"\xff\xd8\xff"
KINDS = {
    LFS_POINTER: rb"version https://git-lfs",
    "a git-annex pointer, not a video; run `git annex get`": rb"(\.\./)*(\.git)?/annex/objects/",
    "a web page, not a video; download the file again": rb"\s*<(!doctype html|html)",
    "an archive, not a video; unpack it": rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!",
    STILL_IMAGE: JPEG + rb"|\x89PNG|BM.{4}\0{4}|II\*\0|MM\0\*|RIFF.{4}WEBP|.{4}ftyp(heic|heix|mif1|avif)",
}


def describe_other_content(path: Path) -> str:
    """Say what a file is in place of a video, and what to do; empty where it may be one. Raises OSError."""
    with path.open("rb") as file:
        start = file.read(LOOKED_AT)
    if not start:
        return "the file is empty (0 bytes)"
    if re.match(JPEG, start) and path.suffix.lower() in MOVING_JPEGS:
        return ""
    found = (kind for kind, form in KINDS.items() if re.match(form, start, re.DOTALL | re.IGNORECASE))
    return next(found, "")
