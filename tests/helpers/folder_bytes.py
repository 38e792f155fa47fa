"""The files of a folder, to compare two folders byte by byte."""

from pathlib import Path


def contents(folder: Path) -> dict[Path, bytes]:
    """Map each file below a folder, relative to it, to its bytes."""
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
