"""AFEW: videos in a folder per expression, in a folder per split; the test part has never been given out."""

import re
from pathlib import Path

import polars as pl

from data_manifest.files import find_clips, subfolders
from data_manifest.folds import PARTS
from data_manifest.labels import SEVEN, SEVEN_FOLDERS, read_labels
from data_manifest.readers import Options, Reader, Rows, problem
from schemas.errors import UserError
from schemas.manifest import VIDEO

FOLDERS = frozenset(folder.lower() for folder in SEVEN_FOLDERS)
SPLIT = re.compile(r"(train|val|test)(_afew)?", re.IGNORECASE)


def fits(root: Path) -> bool:
    """Whether there are a training and a validation folder that both have AFEW's seven folders, in any case.

    One folder too many or too few, in one of them, is an accident; in both, or another name, is another dataset.
    """
    splits = {name.lower()[:3]: root / name for name in subfolders(root) if SPLIT.fullmatch(name)}
    if not {"tra", "val"} <= set(splits):
        return False
    within = [{name.lower() for name in subfolders(splits[part])} for part in ("tra", "val")]
    return sum(len(names ^ FOLDERS) for names in within) <= 1


def read(root: Path, _: Options) -> Rows:
    """All clips in the split folders. Raises UserError where there are none."""
    top = pl.col("path").str.split("/").list
    found, problems = find_clips(root)
    found = found.with_columns(
        split=top.get(0).str.to_lowercase().str.replace(r"_afew$", "").replace_strict(PARTS, default=None),
        label=pl.when(top.len() > 2).then(top.get(1, null_on_oob=True)),
        clip_id="path",
    )
    placed = pl.col("split").is_not_null() & pl.col("label").is_not_null()
    rows, strays = found.filter(placed), found.filter(~placed)
    if rows.is_empty():
        raise UserError(f"{root}: no videos in Train/<Emotion>/ and Val/<Emotion>/; unpack AFEW there")
    rows, strange = read_labels(rows, SEVEN, SEVEN_FOLDERS)
    extra = problem("extra", "clips are in no <split>/<emotion> folder; they are left out", strays["path"])
    name = pl.col("path").str.extract(r"([^/]+)$", 1)
    copies = rows.filter(name.is_duplicated() & (pl.col("kind") == VIDEO)).sort(name, maintain_order=True)[
        "path"
    ]
    again = problem(
        "duplicate", "clips have the name of another in another folder: are they the same?", copies
    )
    return Rows(table=rows, problems=(*strange, *extra, *again, *problems))


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
