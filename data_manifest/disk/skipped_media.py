"""Find videos and images that are skipped because of their names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dfer.data_manifest.problems import EXAMPLES, Problem

LOOKED_AT = 512  # bytes of a file
LOOKED_INTO = 20  # files of a suffix
MEDIA = re.compile(
    # MP4 and HEIF, Matroska, AVI, FLV, Ogg, MPEG, ASF, MPEG-TS, RealMedia, GIF
    rb".{4}ftyp|\x1a\x45\xdf\xa3|RIFF.{4}AVI|FLV\x01|OggS|\0\0\x01[\xb3\xba]|\x30\x26\xb2\x75|G.{187}G|\.RMF|GIF8"
    # JPEG, PNG, TIFF, WebP
    rb"|\xff\xd8\xff|\x89PNG|II\*\0|MM\0\*|RIFF.{4}WEBP",
    re.DOTALL,
)
SOUND = (
    ".aac",
    ".m4a",
    ".m4b",
    ".mka",
    ".oga",
    ".ogg",
    ".opus",
    ".spx",
    ".weba",
    ".wma",
)  # in such containers too


@dataclass
class _Suffix:
    count: int = 0
    first: list[str] = field(default_factory=list)


class OtherFiles:
    """Files below a folder that have no suffix of a video or an image."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._suffixes: dict[str, _Suffix] = {}

    def add(self, folder: PurePosixPath, files: Iterable[tuple[str, str]]) -> None:
        """Add files of a folder below the root: name and suffix in lower case."""
        for name, suffix in files:
            found = self._suffixes.setdefault(suffix, _Suffix())
            found.count += 1
            if len(found.first) < LOOKED_INTO:
                found.first.append(str(folder / name))

    def skipped_media(self) -> list[Problem]:
        """Report suffixes of which one of the first files contains a video or an image. Others are not opened."""
        return [
            problem
            for suffix, found in sorted(self._suffixes.items())
            if suffix not in SOUND
            for problem in self._report(suffix, found)
        ]

    def _report(self, suffix: str, found: _Suffix) -> list[Problem]:
        media = [path for path in found.first if self._is_media(path)]
        if not media:
            return []
        shown = (path.encode("utf-8", "backslashreplace").decode() for path in media[:EXAMPLES])
        why = f"their suffix {suffix}" if suffix else "lack of a suffix"
        return [
            Problem(
                kind="skipped",
                text=f"files that look like videos or images, skipped for {why}",
                count=found.count if len(media) == len(found.first) else len(media),
                examples=tuple(shown),
            )
        ]

    def _is_media(self, path: str) -> bool:
        file = self._root / path
        try:
            if not file.is_file():
                return False  # opening a pipe would never end
            with file.open("rb") as opened:
                return MEDIA.match(opened.read(LOOKED_AT)) is not None
        except OSError:
            return False
