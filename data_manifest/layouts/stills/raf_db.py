"""RAF-DB, its basic part: `EmoLabel/list_patition_label.txt` with lines `train_00001.jpg 5`, and aligned pictures.

Or with the label as folder, as it is often passed on: `DATASET/{train,test}/<1…7>/train_00001_aligned.jpg`.
"""

import re
from itertools import islice
from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.any_case import file_below, first_folder
from dfer.data_manifest.disk.find_clips import find_images
from dfer.data_manifest.disk.folder_contents import images_in, subfolders
from dfer.data_manifest.disk.listed_clips import read_listed
from dfer.data_manifest.labels import SEVEN, read_labels
from dfer.data_manifest.problems import report
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.data_manifest.text_files import read_lines
from dfer.schemas.manifest import IMAGE
from dfer.schemas.support.errors import UserError

WRITTEN = dict(
    zip("1234567", ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"), strict=True)
)
COMPOUND = ("8", "9", "10", "11")  # only the compound part, with a list of the same name, has these
LIST = "list_patition_label.txt"  # as its owners spell it
BASES = ("", "basic/")
FORM = r"^(?P<clip_id>(?P<part>train|test)_[0-9]+)\.(?P<suffix>[A-Za-z]+)\s+(?P<label>[0-9]+)$"
EXAMPLE = "train_00001.jpg 5"
NAME = r"(?P<id>(?:train|test)_[0-9]+)(?:_aligned)?\.[A-Za-z]+"


def fits(root: Path) -> bool:
    return _list(root) is not None or _top_of_label_folders(root) is not None


def read(root: Path, _: Options) -> Rows:
    """Read one row per picture. Raises UserError if the list is malformed, or of the compound part."""
    file = _list(root)
    if file:
        return _listed(root, file)
    top = _top_of_label_folders(root)
    if top is None:
        raise UserError(f"{root}: no EmoLabel/{LIST} and no folders {{train,test}}/{{1..7}}; complete it")
    return _in_label_folders(root, top)


def _list(root: Path) -> Path | None:
    names = (f"{base}{folder}{LIST}" for base in BASES for folder in ("EmoLabel/", ""))
    return next((file for name in names if (file := file_below(root, name)).is_file()), None)


def _listed(root: Path, file: Path) -> Rows:
    entries = read_lines(file, FORM, EXAMPLE)
    compound = entries.filter(pl.col("label").is_in(COMPOUND))
    if len(compound):
        line, label = compound.select("line", "label").row(0)
        raise UserError(
            f"{file}, line {line}: {label} is a label of RAF-DB's compound part; give the folder of the basic part"
        )
    folder, end = _pictures(root)
    path = pl.format("{}/{}{}.{}", pl.lit(folder), "clip_id", pl.lit(end), "suffix")
    entries = entries.with_columns(path=path, fold=pl.lit(None, pl.Int32))
    return read_listed(entries, root, SEVEN, written=WRITTEN)


def _pictures(root: Path) -> tuple[str, str]:
    """The folder of the pictures, and what their names have after the id: the first that has some."""
    wanted = [
        (f"{base}{above}{name}", end)
        for name, end in (("aligned", "_aligned"), ("original", ""))
        for base in BASES
        for above in ("Image/", "")
    ]
    for place, end in wanted:
        # Some unpackers nest a folder in one of the same name.
        for folder in (place, f"{place}/{place.rpartition('/')[2]}"):
            found = first_folder(root, (folder,))
            if found and images_in(root / found, 1):
                return found, end
    return wanted[0]


def _top_of_label_folders(root: Path) -> str | None:
    """The folder, relative to the root ("" if that is it), with {train,test}/{1..7}/ and pictures of RAF-DB there."""
    for top in ("", "DATASET"):
        train = first_folder(root, (f"{top}/train" if top else "train",))
        labels = [name for name in subfolders(root / train) if name in WRITTEN] if train else []
        if labels and any(
            re.fullmatch(NAME, file.name) for file in islice((root / train / labels[0]).iterdir(), 9)
        ):
            return train.rpartition("/")[0]
    return None


def _in_label_folders(root: Path, top: str) -> Rows:
    found, problems = find_images(root / top)
    parts = pl.col("path").str.extract_groups(rf"^(?P<split>[^/]+)/(?P<label>[^/]+)/{NAME}$").struct
    rows = found.with_columns(
        kind=pl.lit(IMAGE),
        clip_id=parts.field("id"),
        label=parts.field("label"),
        split=parts.field("split").str.to_lowercase(),
        path=pl.concat_str(pl.lit(f"{top}/" if top else ""), "path"),
    )
    known = pl.col("split").is_in(["train", "test"]).fill_null(False)
    others = report("extra", "images outside {train,test}/{1..7}/, left out", rows.filter(~known)["path"])
    rows, renamed = read_labels(rows.filter(known), SEVEN, WRITTEN)
    return Rows(table=rows, problems=(*renamed, *problems, *others))


READER = Reader(
    name="raf-db",
    title="RAF-DB, Real-world Affective Faces Database, basic part",
    fits=fits,
    read=read,
    expects=(
        f"EmoLabel/{LIST}: lines {EXAMPLE}",
        "Image/aligned/train_00001_aligned.jpg, or else Image/original/train_00001.jpg",
        "or DATASET/{train,test}/{1..7}/train_00001_aligned.jpg",
    ),
    traces="emolabel",
    protocol="train and test",
    classes=SEVEN,
    counts="12 271 train, 3068 test pictures",
    licence="RAF-DB's agreement, for non-commercial research",
    cite="Li, Deng, Du 2017, Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression Recognition "
    "in the Wild, CVPR",
)
