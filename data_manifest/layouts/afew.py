"""AFEW: videos in a folder per expression, in a folder per split; the test part has never been given out."""

import re
from pathlib import Path

import polars as pl

from dfer.data_manifest.disk import any_case
from dfer.data_manifest.disk.find_clips import find_clips, subfolders
from dfer.data_manifest.labels import SEVEN, SEVEN_FOLDERS, canonical, read_labels
from dfer.data_manifest.official_splits import PARTS
from dfer.data_manifest.problems import problem
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.schemas.manifest import FRAME_FOLDER, VIDEO
from dfer.schemas.support.errors import UserError

FOLDERS = frozenset(folder.lower() for folder in SEVEN_FOLDERS)
SPLIT = re.compile(r"(train|val|test)(_afew)?", re.IGNORECASE)
ALIGNED = "alignedfaces"  # AlignedFaces_LBPTOP_Points, AlignedFaces_LBPTOP_Points_Val


def fits(root: Path) -> bool:
    """Whether there are a training and a validation folder that both have AFEW's seven folders, in any case.

    One folder too many or too few, in one of them, is an accident; in both, or another name, is another dataset.
    The folders of aligned faces that AFEW ships beside the seven do not count.
    """
    splits = {name.lower()[:3]: name for name in subfolders(root) if SPLIT.fullmatch(name)}
    if not {"tra", "val"} <= set(splits):
        return False
    within = [_expressions(root, splits[part]) for part in ("tra", "val")]
    return sum(len(names ^ FOLDERS) for names in within) <= 1


def _expressions(root: Path, split: str) -> set[str]:
    """The folders in a split's folder, in small letters; some unpackers put it into one of its own name."""
    folder = root / (any_case.first_existing(root, [f"{split}/{split}"]) or split)
    return {name.lower() for name in subfolders(folder) if not name.lower().startswith(ALIGNED)}


def read(root: Path, _: Options) -> Rows:
    """All clips in the split folders. Raises UserError where there are none."""
    found, problems = find_clips(root)
    found = _placed(found)
    is_clip = pl.col("split").is_not_null() & canonical(pl.col("label")).is_in(list(SEVEN)).fill_null(False)
    rows, strays = found.filter(is_clip), found.filter(~is_clip)
    if rows.is_empty():
        raise UserError(f"{root}: no videos in Train/<Emotion>/ and Val/<Emotion>/; unpack AFEW there")
    rows, strange = read_labels(rows, SEVEN, SEVEN_FOLDERS)
    # Outside the seven, folders without images are the points and features that AFEW ships.
    without = (pl.col("kind") == FRAME_FOLDER) & (pl.col("images") == 0)
    strays, empty = strays.filter(~without), rows.filter(without)["path"]
    others = [one for one in problems if one.kind != "empty"]
    name = pl.col("path").str.extract(r"([^/]+)$", 1)
    copies = rows.filter(name.is_duplicated() & (pl.col("kind") == VIDEO)).sort(name, maintain_order=True)[
        "path"
    ]
    extra = problem("extra", "clips are in no <split>/<emotion> folder; they are left out", strays["path"])
    again = problem(
        "duplicate", "clips have the name of another in another folder: are they the same?", copies
    )
    empties = problem("empty", "frame folders hold no image", empty)
    return Rows(table=rows, problems=(*strange, *extra, *again, *empties, *others))


def _placed(found: pl.DataFrame) -> pl.DataFrame:
    """Add clip_id, split and label (as its folder is called), null for what lies elsewhere."""
    parts = pl.col("path").str.split("/").list
    top = parts.get(0).str.to_lowercase()
    doubled = (parts.get(1, null_on_oob=True).str.to_lowercase() == top).fill_null(False)
    below = pl.when(doubled).then(parts.slice(2)).otherwise(parts.slice(1))
    return found.with_columns(
        clip_id="path",
        split=top.str.replace(r"_afew$", "").replace_strict(PARTS, default=None),
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
    counts="773 train, 383 val (the 653 of the test part are not public)",
    licence="AFEW's licence agreement (academic use), by e-mail from its authors",
    cite="Dhall, Goecke, Lucey, Gedeon 2012, Collecting large, richly annotated …, IEEE MultiMedia",
)
