"""Paths as a table writes them (relative, absolute, with `..`) to one root and paths below it.

A cache holds no absolute path: where clips lie outside the table's own folder, the root moves up to what they share.
"""

import os
from pathlib import Path

import polars as pl

WINDOWS = r"^\s*[A-Za-z]:[\\/]"  # a path with a drive, which would be read as a relative one
UNTIDY = r"^\s|\s$|\\|//|/\./|^\./|/$"


def below_one_root(written: pl.Series, base: Path) -> tuple[Path, pl.Series]:
    """The folder that all clips are below (`base` where that is possible), and their paths from there.

    written: paths with / or \\ between folders; relative ones start at `base`.
    """
    base = Path(os.path.abspath(base))  # noqa: PTH100 (links stay as the user wrote them)
    simple = _tidy(written) if written.str.contains(UNTIDY).any() else written
    outside = simple.str.starts_with("/") | simple.str.contains(r"(?:^|/)\.\.(?:/|$)")
    if not outside.any():
        return base, simple
    whole = _absolute(simple, base)
    above = f"{base}/".replace("//", "/")
    if whole.str.starts_with(above).all():
        return base, whole.str.slice(len(above))
    # What the first and the last in order share, all share.
    shared = os.path.commonpath([os.path.dirname(whole.min()), os.path.dirname(whole.max())])  # noqa: PTH120
    return Path(shared), whole.str.slice(len(shared.rstrip("/")) + 1)


def _tidy(paths: pl.Series) -> pl.Series:
    """Paths without blanks around them, backslashes, empty parts, `.` and a slash at the end."""
    plain = paths.str.strip_chars().str.replace_all("\\", "/", literal=True)
    return plain.str.replace_all(r"/(?:\.?/)+", "/").str.replace(r"^(?:\./)+", "").str.strip_chars_end("/")


def _absolute(paths: pl.Series, base: Path) -> pl.Series:
    """Absolute paths without `..`. Python handles the different folders that have one, not the rows."""
    above = f"{base}/".replace("//", "/")
    path = pl.col("path")
    whole = paths.to_frame("path").with_columns(
        path=pl.when(path.str.starts_with("/")).then(path).otherwise(pl.lit(above) + path)
    )
    climbing = path.str.contains(r"/\.\.(?:/|$)")
    folder = pl.when(climbing).then(path.str.extract(r"^(.*/)", 1))
    folders = whole.select(folder.drop_nulls().unique()).to_series().to_list()
    if not folders:
        return whole["path"]
    normal = {written: os.path.normpath(written).rstrip("/") + "/" for written in folders}
    plain = folder.replace_strict(normal, return_dtype=pl.String) + path.str.extract(r"([^/]*)$", 1)
    return whole.select(pl.coalesce(plain, path)).to_series()
