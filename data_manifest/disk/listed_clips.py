"""Find the clips that a dataset's lists name: read each parent folder once, then join."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.clip_folders import KnownFolders, add_paths
from dfer.data_manifest.disk.folder_contents import OTHER, images_in, list_parents, parent_of
from dfer.data_manifest.labels import read_labels
from dfer.data_manifest.official_splits import one_row_per_clip
from dfer.data_manifest.problems import Problem, report
from dfer.data_manifest.reader import Rows
from dfer.schemas.manifest import FRAME_FOLDER, IMAGE, MISSING, VIDEO
from dfer.schemas.support.errors import UserError

PARENT = parent_of(pl.col("path"))
HIDDEN = pl.col("path").str.contains(r"(?:^|/)\.[^/]*$")


def read_listed(
    entries: pl.DataFrame,
    root: Path,
    classes: Sequence[str],
    *,
    written: Mapping[str, str] | None = None,
    known: KnownFolders | None = None,
    left_out: pl.DataFrame | None = None,
) -> Rows:
    """Turn the entries of a dataset's lists into its rows: one per clip, canonical labels, files on disk.

    entries: as for `official_splits.one_row_per_clip`; with `path`, if `known` is not given
    classes, written: as for `labels.read_labels`
    known: folders in which to look for the clips
    left_out: clip_id of listed clips that are not wanted, so that their files are not reported as extra

    Raises UserError as these functions and `locate` do.
    """
    rows, problems = one_row_per_clip(entries)
    rows, renamed = read_labels(rows, classes, written)
    problems += renamed
    if known is None:
        rows, located = locate(rows, root)
        return Rows(table=rows, problems=(*problems, *located))
    rows, chosen = add_paths(rows, root, known)
    others = chosen.clips.join(rows, on="path", how="anti")
    copies = others.join(rows, on="clip_id", how="semi")["path"]
    unwanted = others.clear() if left_out is None else others.join(left_out, on="clip_id", how="semi")
    problems += report("duplicate", "further files of the same clip, left out", copies)
    rows, located = locate(rows, root, ignored=pl.concat([copies, unwanted["path"]]))
    return Rows(table=rows, problems=(*problems, *located, *chosen.problems))


def locate(
    rows: pl.DataFrame, root: Path, ignored: pl.Series | None = None
) -> tuple[pl.DataFrame, list[Problem]]:
    """Add `kind` and `bytes` to rows with a `path` below `root`; kind is MISSING for a clip that is not on disk.

    ignored: paths of unlisted clips that are not reported as extra

    Reports missing clips, empty frame folders, and unlisted clips next to listed ones.
    Raises UserError if there are no rows, or a folder cannot be read.
    """
    if rows.is_empty():
        raise UserError(f"{root}: its lists name no clips; fill them")
    entries = list_parents(root, rows["path"])
    rows = _spelled_as_on_disk(rows, entries["path"])
    located = rows.join(entries.select("path", "kind", "bytes"), on="path", how="left", maintain_order="left")
    missing = located["path"].filter(located["kind"].is_null())
    unread = located["path"].filter(located["kind"] == OTHER)
    located = located.with_columns(pl.col("kind").replace(OTHER, MISSING).fill_null(MISSING))
    folders = located["path"].filter(located["kind"] == FRAME_FOLDER).unique()
    empty = pl.Series([path for path in folders if not images_in(root / path, 1)], dtype=pl.String).sort()
    extra = _unlisted(entries, located)
    if ignored is not None:
        extra = extra.filter(~extra.is_in(ignored.implode()))
    return located, [
        *report("missing", "listed but not on disk", missing, total=len(rows)),
        *report("missing", "listed, but neither a video, an image nor a folder", unread, total=len(rows)),
        *report("empty", "frame folders without an image", empty),
        *report("extra", "on disk but in no list, left out", extra),
    ]


def _spelled_as_on_disk(rows: pl.DataFrame, found: pl.Series) -> pl.DataFrame:
    """Paths with accents composed as on disk: macOS writes é as e and an accent."""
    ascii_only = rows.select((pl.col("path").str.len_bytes() == pl.col("path").str.len_chars()).all()).item()
    if ascii_only:
        return rows
    others = found.filter(~found.is_in(rows["path"].implode())).to_frame("_disk")
    others = others.with_columns(_key=pl.col("_disk").str.normalize("NFC"))
    others = others.unique("_key", keep="first", maintain_order=True)
    absent = ~pl.col("path").is_in(found.implode())
    keyed = rows.with_columns(_key=pl.when(absent).then(pl.col("path").str.normalize("NFC")))
    spelled = keyed.join(others, on="_key", how="left", maintain_order="left")
    return spelled.with_columns(path=pl.coalesce("_disk", "path")).drop("_key", "_disk")


def _unlisted(entries: pl.DataFrame, located: pl.DataFrame) -> pl.Series:
    """What is next to listed clips and not listed: videos; folders without clips, next to frame folders; images, next
    to stills."""
    found = located.filter(pl.col("kind") != MISSING)
    parents = located.select(path=PARENT).unique()
    containers = pl.concat([parents, parents.select(path=PARENT).unique()])["path"]
    others = entries.filter(~HIDDEN).join(located, on="path", how="anti").with_columns(parent=PARENT)
    neighbours = {VIDEO: found, **{kind: found.filter(kind=kind) for kind in (FRAME_FOLDER, IMAGE)}}
    parts = [
        others.filter(kind=kind).join(clips.select(parent=PARENT).unique(), on="parent", how="semi")
        for kind, clips in neighbours.items()
    ]
    return pl.concat(parts).filter(~pl.col("path").is_in(containers.implode()))["path"].sort()
