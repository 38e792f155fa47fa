"""Any tree of clips: `<label>/**/clip`, or `<split>/<label>/**/clip`. The folder's name is the label.

Clips directly in the root have no label: they can be extracted, not trained on.
"""

from pathlib import Path

import polars as pl

from data_manifest.files import find_clips
from data_manifest.folds import PARTS
from data_manifest.labels import merge_spellings
from data_manifest.readers import Options, Reader, Rows, problem


def read(root: Path, _: Options) -> Rows:
    """One row for every clip; split folders are recognised when all top folders are such names."""
    parts = pl.col("path").str.split("/").list
    found = find_clips(root).with_columns(
        clip_id="path",
        _depth=parts.len(),
        _top=parts.get(0).str.to_lowercase(),
        _second=parts.get(1, null_on_oob=True),
    )
    is_split = (pl.col("_depth") > 2) & pl.col("_top").is_in(list(PARTS))
    if len(found) and found.select(is_split.all()).item():
        label, split = pl.col("_second"), pl.col("_top").replace_strict(PARTS, default=None)
    else:
        label = pl.when(pl.col("_depth") > 1).then(parts.get(0))
        split = pl.lit(None, pl.String)
    rows, merged = merge_spellings(found.with_columns(label=label, split=split))
    empty = problem("empty", "frame folders hold no image", rows.filter("empty")["path"])
    return Rows(table=rows, problems=(*merged, *empty))


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted; none where it is not there."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


READER = Reader(
    name="folders",
    title="any tree with a folder per label",
    fits=lambda root: root.is_dir(),
    read=read,
    expects=("<label>/**/clip, or {train,val,test}/<label>/**/clip: videos, GIFs or folders of images",),
    protocol="its split folders, if it has them",
)
