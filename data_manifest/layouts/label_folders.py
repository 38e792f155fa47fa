"""Any tree of clips: `<label>/**/clip`, or `<split>/<label>/**/clip`. The folder's name is the label.

Clips directly in the root have no label: they can be extracted, not trained on.
"""

from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.find_clips import find_clips, subfolders
from dfer.data_manifest.labels import merge_spellings
from dfer.data_manifest.official_splits import PARTS
from dfer.data_manifest.problems import Problem, problem, sentence
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.schemas.manifest import FRAME_FOLDER

TABLES = (".csv", ".tsv", ".parquet")


def read(root: Path, _: Options) -> Rows:
    """One row for every clip. Two top folders named as splits are splits, and so is one that holds everything."""
    found, problems = find_clips(root)
    parts = pl.col("path").str.split("/").list
    top, second = parts.get(0), parts.get(1, null_on_oob=True)
    split = pl.when(parts.len() > 2).then(top.str.to_lowercase().replace_strict(PARTS, default=None))
    rows = found.with_columns(clip_id="path", split=split.cast(pl.String))
    if (
        rows["split"].null_count() == 0
        or rows.filter(pl.col("split").is_not_null()).select(top.n_unique()).item() > 1
    ):
        strays = rows.filter(pl.col("split").is_null())["path"]
        rows = rows.filter(pl.col("split").is_not_null()).with_columns(label=second)
        problems += problem("extra", "clips are in no <split>/<label> folder; they are left out", strays)
    else:
        rows = rows.with_columns(label=pl.when(parts.len() > 1).then(top), split=pl.lit(None, pl.String))
    problems += [*_doubtful(rows), *_of_no_use(root, found, split=rows["split"].is_not_null().any())]
    rows, merged = merge_spellings(rows)
    return Rows(table=rows, problems=(*merged, *problems, *_tables(root)))


def _doubtful(rows: pl.DataFrame) -> list[Problem]:
    """Labels that look as if the root were one folder too high or too low."""
    labels = rows["label"].drop_nulls()
    splits = rows.filter(pl.col("label").str.to_lowercase().is_in(list(PARTS)))["path"]
    problems = problem("labels", "clips have a label that is the name of a split", splits)
    if labels.n_unique() == 1:
        text = f"{sentence(len(labels), 'clips have')} one label, {labels[0]}; is this the folder that holds labels?"
        problems.append(Problem(kind="labels", count=len(labels), text=text))
    return problems


def _of_no_use(root: Path, found: pl.DataFrame, split: bool) -> list[Problem]:
    """Folders that should hold a label's clips: without any, or with images that are then the frames of one clip.

    found: all clips; split: whether folders of splits are above those of labels.
    """
    above = [f"{name}/" for name in subfolders(root) if name.lower() in PARTS] if split else [""]
    labels = pl.Series([f"{top}{name}" for top in above for name in subfolders(root / top)], dtype=pl.String)
    clips = found["path"].str.split("/").list.head(2 if split else 1).list.join("/")
    unread = labels.filter(~labels.is_in(clips.implode()))
    whole = found.filter(pl.col("kind") == FRAME_FOLDER, ~pl.col("path").str.contains("/"))["path"]
    advice = (
        "each is one clip without a label; where it is a label, give each of its clips a folder of its own"
    )
    return [
        *problem("folders", "folders hold no clip that can be read", unread),
        *problem("folders", f"folders hold images and no folder of a clip: {advice}", whole),
    ]


def _tables(root: Path) -> list[Problem]:
    """Tables in the root, which may say more of the clips than their folders do."""
    names = sorted(file.name for file in root.iterdir() if file.suffix.lower() in TABLES and file.is_file())
    text = "tables beside the clips are not read; if one lists them, give the file itself"
    return problem("table", text, pl.Series(names, dtype=pl.String))


READER = Reader(
    name="folders",
    title="any tree with a folder per label",
    fits=lambda root: root.is_dir(),
    read=read,
    expects=("<label>/**/clip, or {train,val,test}/<label>/**/clip: videos, GIFs or folders of images",),
    protocol="its split folders, if it has them",
)
