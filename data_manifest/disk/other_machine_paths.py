"""Paths as a list has them from another machine, to where the clips are beside that list on this one.

Published lists name folders of their authors' disks (/home/somebody/DFEW/Clip/00001). What follows the start of such
a path is often the same here: the longest end of it that exists below the list's folder, or the one above, says which
start is to be read as what.
"""

import os
from pathlib import Path

import polars as pl

from dfer.data_manifest.problems import Problem, problem


def moved_here(written: pl.Series, base: Path) -> tuple[pl.Series, list[Problem]]:
    """The paths with each start that is not here replaced, and a problem that says so.

    written: paths of clips; relative ones start at `base`. What is found nowhere stays as it is.
    """
    path = pl.col("path")
    tidy = path.str.strip_chars().str.replace_all("\\", "/", literal=True).str.strip_chars_end("/")
    rows = written.to_frame("path").with_columns(tidy=tidy)
    rows = rows.with_columns(folder=pl.col("tidy").str.extract(r"(?s)^(.*/)", 1).fill_null(""))
    first = rows.unique("folder", keep="first", maintain_order=True)
    # Python handles the different folders, not the rows.
    starts = {folder: _start(folder, clip, base) for folder, clip in first["folder", "tidy"].iter_rows()}
    known = sorted(dict.fromkeys(filter(None, starts.values())), key=lambda start: -len(start[0]))
    places, said = {}, {}
    for folder, found in starts.items():
        # A folder that is missing here has the start of those that are not.
        beside = (one for one in known if folder.startswith(one[0]) and (one[0] or folder[:1] != "/"))
        start, place = found or next(beside, ("/", "/"))
        if (start, place) not in (("", f"{base}/"), ("/", "/")):
            places[folder] = place + folder[len(start) :]
            named = f"start with {start!r}, which is not here" if start else "are not below the list's folder"
            said[folder] = f"paths {named}: read from {place}"
    moved = rows.filter(pl.col("folder").is_in(list(places)))
    told = [
        one
        for (text,), part in moved.group_by(pl.col("folder").replace(said), maintain_order=True)
        for one in problem("folders", text, part["path"])
    ]
    here = pl.col("folder").replace_strict(places, default=None, return_dtype=pl.String)
    name = pl.col("tidy").str.extract(r"([^/]*)$", 1)
    return rows.select(pl.coalesce(here + name, path)).to_series(), told


def _start(folder: str, clip: str, base: Path) -> tuple[str, str] | None:
    """The start of a clip's path and what it is here, both with a slash at the end; None where nothing is found."""
    parts = folder.split("/")  # the last is ""
    for k in range(len(parts)):
        # Of the clip's own name nothing but the clip itself will do.
        end = "/".join(parts[k:]) or clip[len(folder) :]
        for place in (base, base.parent):
            # os.path says no, instead of raising, where another user's folder may not be looked into.
            if os.path.exists(place / end):  # noqa: PTH110
                return (
                    ("/", "/") if end.startswith("/") else ("/".join(parts[:k]) + "/" * (k > 0), f"{place}/")
                )
    return None
