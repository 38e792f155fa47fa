"""FER2013: `fer2013.csv` with columns emotion, pixels and Usage, one row per picture of 48 × 48 grey pixels.

Also as `icml_face_data.csv` (the same, columns in another order), or `train.csv` and `test.csv` without Usage. A
clip's path is the CSV's and the number of its row, from 0: fer2013.csv/000012. The pixels stay in the file.
"""

from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.any_case import file_in_any_case, first_folder
from dfer.data_manifest.labels import SEVEN, read_labels
from dfer.data_manifest.official_splits import SPLIT_NAMES, TEST, TRAIN, VAL
from dfer.data_manifest.problems import report
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.schemas.manifest import IMAGE
from dfer.schemas.support.errors import UserError

WRITTEN = dict(
    zip("0123456", ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"), strict=True)
)
USAGES = {"Training": TRAIN, "PublicTest": VAL, "PrivateTest": TEST}
COMPLETE = ("fer2013.csv", "icml_face_data.csv")
FOLDERS = ("", "fer2013")  # below the root: the archive has the second
HEADER_BYTES = 300  # of a file, to see its header; a row of pixels follows


def fits(root: Path) -> bool:
    return bool(pixel_files(root))


def read(root: Path, _: Options) -> Rows:
    """Read one row per picture. Raises UserError, with the line, if a file is damaged."""
    files = pixel_files(root)
    if not files:
        raise UserError(f"{root}: no {COMPLETE[0]} with the columns emotion, pixels and Usage; put it there")
    base = root if root.is_dir() else root.parent
    rows = pl.concat(read_pixels(file, base) for file in files)
    rows, problems = read_labels(rows.with_columns(clip_id="path", kind=pl.lit(IMAGE)), SEVEN, WRITTEN)
    unlabelled = rows.filter(pl.col("label").is_null())["clip_id"]
    if len(unlabelled) and not problems:
        problems = report("no label", "pictures without an emotion", unlabelled, total=len(rows))
    return Rows(table=rows, problems=tuple(problems), root=base)


def pixel_files(root: Path) -> list[Path]:
    """The CSV files of pixels in a folder: the complete one, else one per split; or the given file."""
    if root.is_file():
        return [root] if "pixels" in _header(root) else []
    for folder in (root / (first_folder(root, (name,)) or name) for name in FOLDERS):
        complete = [file for name in COMPLETE if "pixels" in _header(file := file_in_any_case(folder / name))]
        if complete:
            return complete[:1]
        parts = [file for file in sorted(folder.glob("*.[cC][sS][vV]")) if file.stem.lower() in SPLIT_NAMES]
        parts = [file for file in parts if "pixels" in _header(file)]
        if parts:
            return parts
    return []


def read_pixels(file: Path, base: Path) -> pl.DataFrame:
    """One row per picture: path (from `base`), label as written, split, bytes (of the text of its pixels).

    Raises UserError, with the line, if the file is damaged.
    """
    names = _header(file)
    has_usage = "usage" in names
    try:
        table = pl.scan_csv(file, infer_schema=False, glob=False)
        column = dict(zip(names, table.collect_schema().names(), strict=True))
        rows = table.select(
            label=pl.col(column["emotion"]).str.strip_chars()
            if "emotion" in names
            else pl.lit(None, pl.String),
            usage=pl.col(column["usage"]).str.strip_chars() if has_usage else pl.lit(None, pl.String),
            bytes=pl.col(column["pixels"]).str.len_bytes().cast(pl.Int64),
        ).collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError, ValueError):
        raise UserError(f"{file}: cannot be read as CSV; download it again") from None
    rows = rows.with_row_index("line", 2)
    blank = pl.all_horizontal(pl.col("label", "usage", "bytes").is_null())
    rows = rows.filter(~blank).with_row_index("row")
    start = file.relative_to(base).as_posix()
    known = pl.col("usage").is_in(list(USAGES)).fill_null(False) if has_usage else pl.lit(True)
    damaged = rows.filter(~known | pl.col("bytes").is_null())
    if len(damaged):
        line, usage = damaged.select("line", "usage").row(0)
        wrong = f"Usage is {usage or 'missing'}, not one of {', '.join(USAGES)}" if has_usage else "no pixels"
        raise UserError(f"{file}, line {line}: {wrong}; download the file again")
    split = pl.col("usage").replace_strict(USAGES, return_dtype=pl.String)
    return rows.select(
        pl.format("{}/{}", pl.lit(start), pl.col("row").cast(pl.String).str.zfill(6)).alias("path"),
        "label",
        (split if has_usage else pl.lit(SPLIT_NAMES.get(file.stem.lower()), pl.String)).alias("split"),
        "bytes",
    )


def _header(file: Path) -> list[str]:
    """A CSV's column names in lower case, stripped; none if there is no such file."""
    try:
        if not file.is_file():
            return []
        with file.open("rb") as opened:
            line = opened.read(HEADER_BYTES).decode("utf-8-sig", "replace").partition("\n")[0]
    except OSError:
        return []
    return [name.strip(' "\r').lower() for name in line.split(",")]


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
