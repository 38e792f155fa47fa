"""AFEW: videos in a folder per expression, in a folder per split; the test part was never published."""

import re
from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.any_case import first_folder
from dfer.data_manifest.disk.find_clips import find_clips
from dfer.data_manifest.disk.folder_contents import subfolders
from dfer.data_manifest.labels import SEVEN, SEVEN_FOLDERS, canonical_names, read_labels
from dfer.data_manifest.official_splits import SPLIT_NAMES
from dfer.data_manifest.problems import report
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.schemas.manifest import FRAME_FOLDER, VIDEO
from dfer.schemas.support.errors import UserError

FOLDERS = frozenset(folder.lower() for folder in SEVEN_FOLDERS)
SPLIT = re.compile(r"(train|val|test)(_afew)?", re.IGNORECASE)
ALIGNED = "alignedfaces"  # AlignedFaces_LBPTOP_Points, AlignedFaces_LBPTOP_Points_Val


def fits(root: Path) -> bool:
    """Whether the training and the validation folder both have AFEW's seven folders.

    One folder too many or too few, in one of them, is an accident; in both, or under another name, it is another
    dataset. The folders of aligned faces that AFEW ships with the seven do not count.
    """
    splits = {name.lower()[:3]: name for name in subfolders(root) if SPLIT.fullmatch(name)}
    if not {"tra", "val"} <= set(splits):
        return False
    inside = [_expressions(root, splits[part]) for part in ("tra", "val")]
    return sum(len(names ^ FOLDERS) for names in inside) <= 1


def _expressions(root: Path, split: str) -> set[str]:
    """The folders in a split's folder, in lower case; some unpackers put it into one of the same name."""
    folder = root / (first_folder(root, [f"{split}/{split}"]) or split)
    return {name.lower() for name in subfolders(folder) if not name.lower().startswith(ALIGNED)}


def read(root: Path, _: Options) -> Rows:
    """Read all clips in the split folders. Raises UserError if there are none."""
    found, problems = find_clips(root)
    found = _with_split_and_label(found)
    is_expression = canonical_names(pl.col("label")).is_in(list(SEVEN)).fill_null(False)
    is_clip = pl.col("split").is_not_null() & is_expression
    rows, outside = found.filter(is_clip), found.filter(~is_clip)
    if rows.is_empty():
        raise UserError(f"{root}: no videos in Train/<Emotion>/ and Val/<Emotion>/; unpack AFEW there")
    rows, renamed = read_labels(rows, SEVEN, SEVEN_FOLDERS)
    # Outside the seven, folders without images are the points and features that AFEW ships.
    without = (pl.col("kind") == FRAME_FOLDER) & (pl.col("images") == 0)
    name = pl.col("path").str.extract(r"([^/]+)$", 1)
    same_name = rows.filter(name.is_duplicated() & (pl.col("kind") == VIDEO)).sort(name, maintain_order=True)
    outside = outside.filter(~without)["path"]
    problems = [
        *renamed,
        *report("extra", "clips outside <split>/<emotion>/, left out", outside),
        *report("duplicate", "videos of the same name in several folders, all kept", same_name["path"]),
        *report("empty", "frame folders without an image", rows.filter(without)["path"]),
        *(problem for problem in problems if problem.kind != "empty"),
    ]
    return Rows(table=rows, problems=tuple(problems))


def _with_split_and_label(found: pl.DataFrame) -> pl.DataFrame:
    """Add clip_id, split and label (the name of its folder), null for a clip elsewhere."""
    parts = pl.col("path").str.split("/").list
    top = parts.get(0).str.to_lowercase()
    nested = (parts.get(1, null_on_oob=True).str.to_lowercase() == top).fill_null(False)
    below = pl.when(nested).then(parts.slice(2)).otherwise(parts.slice(1))
    return found.with_columns(
        clip_id="path",
        split=top.str.replace(r"_afew$", "").replace_strict(SPLIT_NAMES, default=None),
        label=pl.when(below.list.len() > 1).then(below.list.first()),
    )


READER = Reader(
    name="afew",
    title="AFEW, Acted Facial Expressions in the Wild",
    fits=fits,
    read=read,
    expects=("{Train,Val}/<Emotion>/*.avi (or Train_AFEW, Val_AFEW)",),
    traces="(train|val|test)_afew",
    protocol="trained on Train, judged on Val",
    classes=SEVEN,
    counts="773 train, 383 val (the 653 test clips are not public)",
    licence="AFEW's licence agreement (academic use), by e-mail from its authors",
    cite="Dhall, Goecke, Lucey, Gedeon 2012, Collecting large, richly annotated …, IEEE MultiMedia",
)
