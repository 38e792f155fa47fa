"""Datasets that say everything in the names of their files."""

import re
from pathlib import Path

import polars as pl

from data_manifest.files import find_clips, first_videos

LOOKED_AT = 100  # clips, to recognise a dataset


def mostly_named(root: Path, form: str) -> bool:
    """Whether most of the first videos have names (without suffix) of this form."""
    stems = [Path(path).stem for path in first_videos(root, LOOKED_AT)]
    return 2 * sum(re.fullmatch(form, stem) is not None for stem in stems) > len(stems)


def clips_by_name(root: Path, form: str) -> pl.DataFrame:
    """All clips below a folder, with `stem` and the form's named groups as columns, null where a name is of another
    form."""
    stem = pl.col("path").str.extract(r"([^/]+?)(?:\.[^./]+)?$", 1)
    found = find_clips(root).with_columns(stem=stem)
    return found.with_columns(pl.col("stem").str.extract_groups(form).alias("fields")).unnest("fields")
