"""Rewrite a table's paths (relative, absolute, with `..`) as paths below one root.

A cache stores no absolute path: if clips are outside the table's folder, the root moves up to what they share.
"""

import os
from pathlib import Path

import polars as pl

WINDOWS_DRIVE = r"^\s*[A-Za-z]:[\\/]"  # would be taken for a relative path
UNTIDY = r"^\s|\s$|\\|//|/\./|^\./|/$"


def below_one_root(written: pl.Series, base: Path) -> tuple[Path, pl.Series]:
    """Return the folder that contains all clips (`base` if possible), and their paths relative to it.

    written: paths with / or \\ between folders; relative ones start at `base`
    """
    base = Path(os.path.abspath(base))  # noqa: PTH100 (keeps links as the user wrote them)
    simple = _tidy(written) if written.str.contains(UNTIDY).any() else written
    outside = simple.str.starts_with("/") | simple.str.contains(r"(?:^|/)\.\.(?:/|$)")
    if not outside.any():
        return base, simple
    absolute = _absolute(simple, base)
    above = f"{base}/".replace("//", "/")
    if absolute.str.starts_with(above).all():
        return base, absolute.str.slice(len(above))
    # In sorted order, what the first and the last path share, all share.
    shared = os.path.commonpath([os.path.dirname(absolute.min()), os.path.dirname(absolute.max())])  # noqa: PTH120
    return Path(shared), absolute.str.slice(len(shared.rstrip("/")) + 1)


def _tidy(paths: pl.Series) -> pl.Series:
    """Paths without outer blanks, backslashes, empty parts, `.`, or a final slash."""
    plain = paths.str.strip_chars().str.replace_all("\\", "/", literal=True)
    return plain.str.replace_all(r"/(?:\.?/)+", "/").str.replace(r"^(?:\./)+", "").str.strip_chars_end("/")


def _absolute(paths: pl.Series, base: Path) -> pl.Series:
    """Absolute paths without `..`. Python handles the distinct folders that have one, not every row."""
    above = f"{base}/".replace("//", "/")
    path = pl.col("path")
    full = paths.to_frame("path").with_columns(
        path=pl.when(path.str.starts_with("/")).then(path).otherwise(pl.lit(above) + path)
    )
    climbing = path.str.contains(r"/\.\.(?:/|$)")
    folder = pl.when(climbing).then(path.str.extract(r"^(.*/)", 1))
    folders = full.select(folder.drop_nulls().unique()).to_series().to_list()
    if not folders:
        return full["path"]
    normal = {written: os.path.normpath(written).rstrip("/") + "/" for written in folders}
    plain = folder.replace_strict(normal, return_dtype=pl.String) + path.str.extract(r"([^/]*)$", 1)
    return full.select(pl.coalesce(plain, path)).to_series()
