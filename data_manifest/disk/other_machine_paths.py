"""Re-root absolute paths of another machine.

Published lists contain folders of their authors' disks (/home/somebody/DFEW/Clip/00001). The end of such a path is
often the same here. The longest end that exists below the list's folder, or the folder above it, shows what the rest
has to be replaced by.
"""

import os
from pathlib import Path

import polars as pl

from dfer.data_manifest.problems import Problem, report


def reroot(written: pl.Series, base: Path) -> tuple[pl.Series, list[Problem]]:
    """Replace the start of paths that are not on this machine, and report each replacement.

    written: paths of clips; relative ones start at `base`

    A path whose end is found nowhere stays as it is.
    """
    path = pl.col("path")
    tidy = path.str.strip_chars().str.replace_all("\\", "/", literal=True).str.strip_chars_end("/")
    rows = written.to_frame("path").with_columns(tidy=tidy)
    rows = rows.with_columns(folder=pl.col("tidy").str.extract(r"(?s)^(.*/)", 1).fill_null(""))
    first = rows.unique("folder", keep="first", maintain_order=True)
    # Python handles the distinct folders, not every row.
    starts = {
        folder: _replacement(folder, clip, base) for folder, clip in first["folder", "tidy"].iter_rows()
    }
    known = sorted(dict.fromkeys(filter(None, starts.values())), key=lambda start: -len(start[0]))
    here, texts = {}, {}
    for folder, found in starts.items():
        # A folder that is missing here starts like those that are not.
        like = (one for one in known if folder.startswith(one[0]) and (one[0] or folder[:1] != "/"))
        start, place = found or next(like, ("/", "/"))
        if (start, place) not in (("", f"{base}/"), ("/", "/")):
            here[folder] = place + folder[len(start) :]
            which = f"starting with {start!r}" if start else "not below the list's folder"
            texts[folder] = f"paths {which}, read from {place}"
    moved = rows.filter(pl.col("folder").is_in(list(here)))
    problems = [
        problem
        for (text,), part in moved.group_by(pl.col("folder").replace(texts), maintain_order=True)
        for problem in report("folders", text, part["path"])
    ]
    folder_here = pl.col("folder").replace_strict(here, default=None, return_dtype=pl.String)
    name = pl.col("tidy").str.extract(r"([^/]*)$", 1)
    return rows.select(pl.coalesce(folder_here + name, path)).to_series(), problems


def _replacement(folder: str, clip: str, base: Path) -> tuple[str, str] | None:
    """The start of a clip's path and what replaces it here, both ending in a slash; None if nothing is found."""
    parts = folder.split("/")  # the last is ""
    for k in range(len(parts)):
        # When no folder is left, the clip itself has to exist.
        end = "/".join(parts[k:]) or clip[len(folder) :]
        for place in (base, base.parent):
            # os.path answers no for another user's folder, where Path raises.
            if os.path.exists(place / end):  # noqa: PTH110
                return (
                    ("/", "/") if end.startswith("/") else ("/".join(parts[:k]) + "/" * (k > 0), f"{place}/")
                )
    return None
