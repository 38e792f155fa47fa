"""From what a user names to one manifest: a dataset, or any mix of files, folders, tables and patterns.

One folder or table is read as that dataset. Otherwise every file is a clip without a label, every folder or table
gives its clips with their labels, and clip ids are paths below the folder that all have in common. Splits and folds
of several datasets do not fit together and are left out.
"""

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import polars as pl

from dfer.data_manifest.datasets import AUTO, Manifest, read_manifest
from dfer.data_manifest.disk.file_types import IMAGE_SUFFIXES, VIDEO_SUFFIXES, suffix_of
from dfer.data_manifest.disk.folder_contents import check_name, size_of
from dfer.data_manifest.labels import merge_spellings
from dfer.data_manifest.reader import Options
from dfer.schemas.manifest import IMAGE, MANIFEST_SCHEMA, VIDEO
from dfer.schemas.support.errors import UserError

NAME = "clips"  # what the dataset is called if it is not one
KEPT = ("path", "kind", "label", "subject", "bytes")  # columns that have a meaning outside their dataset
WILDCARDS = "*?["


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What was named.

    manifest: of all clips; None if there is none
    refused: what cannot be read at all, each with the reason
    """

    manifest: Manifest | None
    refused: tuple[tuple[Path, str], ...] = ()


def expand(paths: Sequence[Path]) -> list[Path]:
    """Replace each pattern by what it matches, in order; an existing path is never a pattern.

    Raises UserError for a path that does not exist.
    """
    found: list[Path] = []
    for path in paths:
        if path.exists() or path.is_symlink():
            found.append(path)
            continue
        pattern = str(path)
        matches = sorted(glob.iglob(pattern, recursive=True)) if set(WILDCARDS) & set(pattern) else []  # noqa: PTH207
        if not matches:
            raise UserError(f"{path}: no such file or folder; check the path")
        found += map(Path, matches)
    return found


def read_inputs(paths: Sequence[Path]) -> Inputs:
    """Read everything that the paths (as `expand` gives them) name; a clip that several name is read once."""
    if len(paths) == 1 and not _is_clip(paths[0]):
        try:
            return Inputs(manifest=read_manifest(paths[0]))
        except UserError as error:
            return Inputs(manifest=None, refused=((paths[0], _reason(error, paths[0])),))
    parts, refused = [], []
    for path in paths:
        try:
            parts.append(_clip(path) if _is_clip(path) else _clips_of(read_manifest(path)))
        except UserError as error:
            refused.append((path, _reason(error, path)))
    return Inputs(manifest=_joined(parts) if parts else None, refused=tuple(refused))


def read_source(paths: Sequence[Path], dataset: str = AUTO, options: Options | None = None) -> Manifest:
    """Read everything that the paths name, as one dataset; the dataset and the options are for one folder or table.

    Raises UserError if any of it cannot be read, as `read_manifest` does.
    """
    options, paths = options or Options(), expand(paths)
    if len(paths) == 1 and not _is_clip(paths[0]):
        return read_manifest(paths[0], dataset, options)
    if dataset != AUTO or options.compound:
        raise UserError(
            "--dataset and --compound are for one folder or table; leave them out, or give that alone"
        )
    found = read_inputs(paths)
    for path, reason in found.refused:
        raise UserError(f"{path}: {reason}")
    return replace(found.manifest, dataset=options.name or NAME)


def _is_clip(path: Path) -> bool:
    """Whether a path is a video or an image by its name, and no folder."""
    return suffix_of(path.name) in VIDEO_SUFFIXES | IMAGE_SUFFIXES and not path.is_dir()


def _clip(path: Path) -> pl.DataFrame:
    """The row of a file. Raises UserError for a name that is not UTF-8."""
    check_name(PurePosixPath(path))
    kind = IMAGE if suffix_of(path.name) in IMAGE_SUFFIXES else VIDEO
    row = {"path": _absolute(path), "kind": kind, "bytes": size_of(str(path))}
    return pl.DataFrame([row], schema=_schema())


def _clips_of(manifest: Manifest) -> pl.DataFrame:
    """The rows of a dataset, with absolute paths."""
    above = _absolute(manifest.root).rstrip("/")
    return manifest.clips.select(KEPT).with_columns(pl.format("{}/{}", pl.lit(above), "path").alias("path"))


def _joined(parts: Sequence[pl.DataFrame]) -> Manifest:
    """One manifest of the rows; the first of several rows of a clip counts."""
    rows = pl.concat(parts).unique("path", keep="first", maintain_order=True).sort("path")
    root = os.path.commonpath([os.path.dirname(path) for path in rows["path"]])  # noqa: PTH120 (many paths)
    relative = pl.col("path").str.slice(len(root.rstrip("/")) + 1)
    rows, problems = merge_spellings(rows.with_columns(relative))
    absent = [pl.lit(None, kind).alias(name) for name, kind in MANIFEST_SCHEMA.items() if name not in KEPT]
    clips = rows.with_columns(absent).with_columns(clip_id="path").select(MANIFEST_SCHEMA.names())
    labels = tuple(clips["label"].drop_nulls().unique().sort())
    return Manifest(dataset=NAME, labels=labels, clips=clips, root=Path(root), problems=tuple(problems))


def _schema() -> pl.Schema:
    return pl.Schema({name: MANIFEST_SCHEMA[name] for name in KEPT})


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 (keeps links as the user wrote them)


def _reason(error: UserError, path: Path) -> str:
    """What is wrong, without the path that the message starts with."""
    return str(error).removeprefix(f"{path}: ")
