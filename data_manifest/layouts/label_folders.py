"""Any tree of clips, `<label>/**/clip` or `<split>/<label>/**/clip`: the folder's name is the label.

Clips directly in the root have no label: they can be extracted, but not trained on.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.find_clips import find_clips
from dfer.data_manifest.disk.folder_contents import subfolders
from dfer.data_manifest.labels import is_expression, merge_spellings
from dfer.data_manifest.official_splits import SPLIT_NAMES
from dfer.data_manifest.problems import Problem, report
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.schemas.manifest import FRAME_FOLDER
from dfer.schemas.support.errors import UserError

OR_STILLS = "(--dataset stills reads the images instead of the clips)"
TABLES = (".csv", ".tsv", ".parquet")


def read(root: Path, _: Options) -> Rows:
    """Read every clip. Top folders named after splits are splits if there are two, or if one contains everything."""
    found, problems = find_clips(root)
    _refuse_stills(root, found)
    advised = [
        replace(each, text=f"{each.text} {OR_STILLS}") if each.kind == "images" else each for each in problems
    ]
    return named_after_folders(root, found, advised)


def named_after_folders(root: Path, found: pl.DataFrame, problems: Sequence[Problem]) -> Rows:
    """Clips (ENTRY_SCHEMA) with label and split from their folders. problems: of finding them"""
    parts = pl.col("path").str.split("/").list
    top, second = parts.get(0), parts.get(1, null_on_oob=True)
    split = top.str.to_lowercase().replace_strict(SPLIT_NAMES, default=None, return_dtype=pl.String)
    rows = found.with_columns(clip_id="path", split=pl.when(parts.len() > 2).then(split))
    in_split = rows.filter(pl.col("split").is_not_null())
    has_splits = len(in_split) == len(rows) or in_split.select(top.n_unique()).item() > 1
    if has_splits:
        outside = rows.filter(pl.col("split").is_null())["path"]
        rows = in_split.with_columns(label=second)
        problems = [*problems, *report("extra", "clips outside <split>/<label>/, left out", outside)]
    else:
        rows = rows.with_columns(label=pl.when(parts.len() > 1).then(top), split=pl.lit(None, pl.String))
    doubtful = _doubtful_labels(rows), _useless_folders(root, found, has_splits and len(rows) > 0)
    rows, merged = merge_spellings(rows)
    return Rows(table=rows, problems=(*merged, *problems, *chain(*doubtful), *_tables(root)))


def _refuse_stills(root: Path, found: pl.DataFrame) -> None:
    """Raise UserError if all clips are label folders with images directly in them."""
    if len(found) and (found["kind"] == FRAME_FOLDER).all() and all(map(is_label_folder, found["path"])):
        raise UserError(
            f"{root}: images directly in {found['path'][0]}, so stills and not clips; choose --dataset stills, or "
            "give each clip a folder"
        )


def is_label_folder(path: str) -> bool:
    """Whether a path is `<label>` or `<split>/<label>`, with an expression as label."""
    above, _, name = path.rpartition("/")
    return is_expression(name) and (not above or above.lower() in SPLIT_NAMES)


def _doubtful_labels(rows: pl.DataFrame) -> list[Problem]:
    """Labels that suggest that the root is one folder too high or too low."""
    is_split = pl.col("label").str.to_lowercase().is_in(list(SPLIT_NAMES)).fill_null(False)
    below_label = pl.col("path").str.contains(f"^[^/]+/(?i:{'|'.join(SPLIT_NAMES)})/")
    problems = [
        *report("labels", "clips whose label is the name of a split", rows.filter(is_split)["path"]),
        *report(
            "labels",
            "clips in split folders below a label folder (not used as splits)",
            rows.filter(below_label & ~is_split)["path"],
        ),
    ]
    labels = rows["label"].drop_nulls()
    if labels.n_unique() == 1:
        text = f"clips that all have one label, {labels[0]} (is this folder one level too high or too low?)"
        problems.append(Problem(kind="labels", text=text, count=len(labels)))
    return problems


def _useless_folders(root: Path, found: pl.DataFrame, has_splits: bool) -> list[Problem]:
    """Folders that should contain a label's clips and have none, or images that become the frames of one clip.

    found: all clips
    """
    above = [f"{name}/" for name in subfolders(root) if name.lower() in SPLIT_NAMES] if has_splits else [""]
    labels = pl.Series([f"{top}{name}" for top in above for name in subfolders(root / top)], dtype=pl.String)
    used = found["path"].str.split("/").list.head(2 if has_splits else 1).list.join("/")
    folders = found.filter(kind=FRAME_FOLDER)["path"]
    flat = [path for path in folders if "/" not in path or is_label_folder(path)]
    text = (
        "folders of images, each read as one clip (if it is a label, choose --dataset stills, "
        "or give each clip a folder)"
    )
    return [
        *report(
            "folders", "folders without a clip that can be read", labels.filter(~labels.is_in(used.implode()))
        ),
        *report("folders", text, pl.Series(flat, dtype=pl.String)),
    ]


def _tables(root: Path) -> list[Problem]:
    """Tables in the root: they may say more about the clips than the folders do."""
    names = sorted(file.name for file in root.iterdir() if file.suffix.lower() in TABLES and file.is_file())
    text = "tables that are not read (if one lists the clips, give that file)"
    return report("table", text, pl.Series(names, dtype=pl.String))


READER = Reader(
    name="folders",
    title="any tree with a folder per label",
    fits=lambda root: root.is_dir(),
    read=read,
    expects=("<label>/**/clip, or {train,val,test}/<label>/**/clip: videos, GIFs or folders of images",),
    protocol="its split folders, if it has them",
)
