"""The Parquet file that `pipeline manifest --out` writes: a dataset's table of clips, and where its clips are.

The file's metadata name the folder that the paths start from. The folder is relative to the file, so that both can
be moved together, unless they share nothing but the top of the file system.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from dfer.data_manifest.disk.listed_clips import locate
from dfer.data_manifest.reader import Rows
from dfer.schemas.manifest import MANIFEST_SCHEMA, votes_fit
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import target_file, write_parquet

KEY = "dfer-manifest"  # of the metadata
SPLITS = ("train", "val", "test")
# A path from the folder down.
BELOW = pl.col("path").str.contains(r"^[^/]") & ~pl.col("path").str.contains(r"(?:^|/)\.{1,2}(?:/|$)")


def write_manifest(
    out: Path,
    clips: pl.DataFrame,
    *,
    dataset: str,
    labels: Sequence[str],
    root: Path,
    face_crops: bool,
) -> None:
    """Write a manifest; its arguments are the fields of `datasets.Manifest`.

    It may replace an older one of the same folder.

    Raises UserError if `out` cannot be written or is any other file.
    """
    target = target_file(out, suffixes=(".parquet",))
    start = _from(target.parent, root.resolve())
    if target.exists() and (_about(target) or {}).get("root") != start:
        raise UserError(f"--out {out} exists and is not a manifest of these clips; choose another name")
    about = {"dataset": dataset, "labels": list(labels), "root": start, "face_crops": face_crops}
    write_parquet(target, clips, {KEY: json.dumps(about)})


def read_manifest_file(file: Path) -> Rows | None:
    """Read what `write_manifest` wrote, and look which of the clips are on disk; None for any other table.

    Raises UserError if its folder is gone, or the table was changed to something that is not a manifest.
    """
    about = _about(file)
    if about is None:
        return None
    root = Path(os.path.normpath(file.resolve().parent / about["root"]))
    if not root.is_dir():
        raise UserError(
            f"{file}: the folder of its clips, {root}, is not there; move both together, or write the manifest "
            "again with `pipeline manifest`"
        )
    clips = pl.read_parquet(file, glob=False)
    labels = about.get("labels")
    if clips.schema != MANIFEST_SCHEMA or not _is_sound(clips, labels):
        raise UserError(
            f"{file}: changed after `pipeline manifest` wrote it; write it again, or give a CSV table"
        )
    clips, problems = locate(clips.drop("kind", "bytes"), root)
    return Rows(
        table=clips,
        problems=tuple(problems),
        root=root,
        dataset=str(about["dataset"]),
        face_crops=about.get("face_crops") is True,
        labels=tuple(labels),
    )


def _is_sound(clips: pl.DataFrame, labels: Any) -> bool:
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        return False
    sound = pl.col("clip_id").is_not_null() & BELOW & pl.col("split").is_in([*SPLITS]).fill_null(True)
    sound &= pl.col("label").is_in(labels).fill_null(True) & votes_fit(len(labels))
    return clips.select(sound.fill_null(False).all()).item()


def _about(file: Path) -> dict[str, Any] | None:
    """What the metadata say of a manifest; None for a file that is none."""
    try:
        about = json.loads(pl.read_parquet_metadata(file)[KEY])
        return about if isinstance(about["root"], str) and about["dataset"] else None
    except (OSError, pl.exceptions.PolarsError, KeyError, TypeError, ValueError):
        return None


def _from(folder: Path, root: Path) -> str:
    shared = os.path.commonpath([folder, root])
    return str(root) if Path(shared) == Path(root.anchor) else Path(os.path.relpath(root, folder)).as_posix()
