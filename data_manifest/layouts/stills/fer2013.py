"""FER2013: `fer2013.csv` with columns emotion, pixels and Usage, one row per picture of 48 × 48 grey pixels.

Also as `icml_face_data.csv` (the same, columns in another order), or `train.csv` and `test.csv` without Usage. A
clip's path is the CSV's and the number of its row, from 0: fer2013.csv/000012. The pixels stay in the file.
"""

from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.any_case import file_in_any_case, first_folder
from dfer.data_manifest.labels import SEVEN, read_labels
from dfer.data_manifest.layouts.stills.large_csv import first_row, read_columns
from dfer.data_manifest.official_splits import SPLIT_NAMES, TEST, TRAIN, VAL
from dfer.data_manifest.problems import Problem, report
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.schemas.manifest import IMAGE
from dfer.schemas.support.errors import UserError

WRITTEN = dict(
    zip("0123456", ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"), strict=True)
)
USAGES = {"Training": TRAIN, "PublicTest": VAL, "PrivateTest": TEST}
PIXELS = "pixels"
COMPLETE = ("fer2013.csv", "icml_face_data.csv")
FOLDERS = ("", "fer2013")  # below the root: the archive has the second


def fits(root: Path) -> bool:
    return bool(pixel_files(root)) or (root.name.lower() in COMPLETE and "path" not in first_row(root))


def read(root: Path, _: Options) -> Rows:
    """Read one row per picture. Raises UserError, with the line, if a file is damaged."""
    files = pixel_files(root)
    if not files:
        refuse_unusable(root)
        raise UserError(f"{root}: no {COMPLETE[0]} with the columns emotion, pixels and Usage; put it there")
    base = root if root.is_dir() else root.parent
    rows = pl.concat(read_pixels(file, base) for file in files)
    rows, problems = read_labels(rows.with_columns(clip_id="path", kind=pl.lit(IMAGE)), SEVEN, WRITTEN)
    unlabelled = rows.filter(pl.col("label").is_null())["clip_id"]
    if len(unlabelled) and not problems:
        problems = report("no label", "pictures without an emotion", unlabelled, total=len(rows))
    return Rows(table=rows, problems=(*problems, *without_pixels(rows)), root=base)


def pixel_files(root: Path) -> list[Path]:
    """The CSV files of pixels in a folder: the complete one, else one per split; or the given file."""
    if root.is_file():
        return [root] if PIXELS in first_row(root) else []
    for folder in _folders(root):
        complete = [file for file in _complete(folder) if PIXELS in first_row(file)]
        if complete:
            return complete[:1]
        parts = [file for file in sorted(folder.glob("*.[cC][sS][vV]")) if file.stem.lower() in SPLIT_NAMES]
        parts = [file for file in parts if PIXELS in first_row(file)]
        if parts:
            return parts
    return []


def refuse_unusable(root: Path) -> None:
    """Raise UserError if this file, or one of FER2013's name in this folder, has no column of pixels."""
    files = [root] if root.is_file() else [file for folder in _folders(root) for file in _complete(folder)]
    for file in files:
        if PIXELS not in first_row(file):
            raise UserError(
                f"{file}: no column {PIXELS} in its first line, which should be like emotion,pixels,Usage; "
                "download it again"
            )


def _folders(root: Path) -> list[Path]:
    return [root / (first_folder(root, (name,)) or name) for name in FOLDERS]


def _complete(folder: Path) -> list[Path]:
    return [file for name in COMPLETE if (file := file_in_any_case(folder / name)).is_file()]


def read_pixels(file: Path, base: Path) -> pl.DataFrame:
    """One row per picture: path (from `base`), label as written, split, bytes (of the text of its pixels).

    Raises UserError, with the line, if the file is damaged.
    """
    names = first_row(file)
    has_usage = "usage" in names
    cell = {name: pl.nth(place) for place, name in enumerate(names)}
    absent = pl.lit(None, pl.String)
    rows = read_columns(
        file,
        label=cell.get("emotion", absent).str.strip_chars(),
        usage=cell.get("usage", absent).str.strip_chars(),
        bytes=cell[PIXELS].str.len_bytes().cast(pl.Int64),
    )
    blank = pl.all_horizontal(pl.col("label", "usage", "bytes").is_null())
    rows = rows.filter(~blank).with_row_index("row")
    start = file.relative_to(base).as_posix()
    damaged = rows.filter(~pl.col("usage").is_in(list(USAGES)).fill_null(False)) if has_usage else rows[:0]
    if len(damaged):
        line, usage = damaged.select("line", "usage").row(0)
        raise UserError(
            f"{file}, line {line}: Usage is {usage or 'missing'}, not one of {', '.join(USAGES)}; "
            "download the file again"
        )
    split = pl.col("usage").replace_strict(USAGES, return_dtype=pl.String)
    return rows.select(
        pl.format("{}/{}", pl.lit(start), pl.col("row").cast(pl.String).str.zfill(6)).alias("path"),
        "label",
        (split if has_usage else pl.lit(SPLIT_NAMES.get(file.stem.lower()), pl.String)).alias("split"),
        pl.col("bytes").fill_null(0),
    )


def without_pixels(rows: pl.DataFrame) -> list[Problem]:
    """Report the pictures whose cell of pixels is empty. rows: of `read_pixels`"""
    empty = rows.filter(bytes=0)["path"]
    return report("empty", "rows without pixels, undecodable", empty, total=len(rows))


READER = Reader(
    name="fer2013",
    title="FER2013, Facial Expression Recognition 2013",
    fits=fits,
    read=read,
    expects=(
        "fer2013.csv or icml_face_data.csv: emotion, pixels, Usage",
        "or train.csv and test.csv: emotion, pixels",
    ),
    protocol="train, val (PublicTest) and test (PrivateTest)",
    classes=SEVEN,
    counts="28 709 train, 3589 val, 3589 test pictures of 48 px",
    licence="Database Contents License",
    cite="Goodfellow et al. 2013, Challenges in Representation Learning, ICONIP",
)
