"""From a dataset's folder to its manifest: which readers there are, and which one fits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_manifest import crema_d, folders
from data_manifest.files import FoundClip, find_clips
from schemas.errors import UserError
from schemas.manifest import MANIFEST_SCHEMA

AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How one dataset layout is read.

    fits: whether the clips that were found look like this dataset.
    rows: the clips as manifest rows (dicts with the columns that the dataset has).
    """

    name: str
    fits: Callable[[Sequence[FoundClip]], bool]
    rows: Callable[[Sequence[FoundClip]], list[dict]]


# The first that fits is taken; any tree fits the last.
READERS = (
    Reader(name="crema-d", fits=crema_d.fits, rows=crema_d.rows),
    Reader(name="folders", fits=lambda clips: True, rows=folders.rows),
)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A dataset's clips: its name, its label names in order, and a table with MANIFEST_SCHEMA."""

    dataset: str
    labels: tuple[str, ...]
    clips: pl.DataFrame


def read_manifest(root: Path, dataset: str = AUTO) -> Manifest:
    """Find the clips below `root` and read their labels.

    Raises UserError where the folder is missing or unreadable, holds no clip, or gives two clips one id.
    """
    if not root.exists():
        raise UserError(f"no such folder: {root}")
    if not root.is_dir():
        raise UserError(f"{root} is a file; give the folder that holds the clips")
    found = find_clips(root)
    if not found:
        raise UserError(f"no clips in {root}: it holds no video, GIF or folder of images")
    reader = next(r for r in READERS if r.name == dataset or (dataset == AUTO and r.fits(found)))
    clips = pl.DataFrame(reader.rows(found), schema=MANIFEST_SCHEMA).sort("clip_id")
    twice = clips.filter(pl.col("clip_id").is_duplicated())
    if len(twice):
        paths = ", ".join(twice["path"].head(3))
        raise UserError(
            f"{root}: {len(twice)} clips share an id with another ({paths}); rename or remove them"
        )
    labels = tuple(clips["label"].drop_nulls().unique().sort())
    return Manifest(dataset=reader.name, labels=labels, clips=clips)
