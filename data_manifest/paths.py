"""Paths as a table writes them (relative, absolute, with `..`) to one root and paths below it.

A cache holds no absolute path: where clips lie outside the table's own folder, the root moves up to what they share.
"""

import os
from pathlib import Path

import polars as pl

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
    """Absolute paths without `..`. Python handles the folders, of which there are few, not the rows."""
    table = paths.to_frame("path").with_columns(
        folder=pl.col("path").str.extract(r"^(.*/)", 1).fill_null(""),
        name=pl.col("path").str.extract(r"([^/]*)$", 1),
    )
    folders = table["folder"].unique()
    normal = [os.path.normpath(base / folder).rstrip("/") for folder in folders]
    known = pl.DataFrame(
        {"folder": folders, "normal": normal}, schema={"folder": pl.String, "normal": pl.String}
    )
    joined = table.join(known, on="folder", how="left", maintain_order="left")
    return joined.select(pl.format("{}/{}", "normal", "name")).to_series()
