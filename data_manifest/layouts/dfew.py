"""DFEW: five folds as CSV lists of numbered clips; the clips as folders of face crops, or as the original videos."""

from pathlib import Path

import polars as pl

from dfer.data_manifest.disk import any_case, listed_clips
from dfer.data_manifest.disk.clip_folders import Place, find
from dfer.data_manifest.labels import SEVEN, read_labels
from dfer.data_manifest.official_splits import TEST, TRAIN, one_row_a_clip
from dfer.data_manifest.problems import problem
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.data_manifest.text_files import read_lines
from dfer.schemas.manifest import FRAME_FOLDER, VIDEO
from dfer.schemas.support.errors import UserError

FOLDS = range(1, 6)
LISTS = "EmoLabel_DataSplit"
PARTS = {TRAIN: "train(single-labeled)", TEST: "test(single-labeled)"}
FORM = r'^"?(?P<name>[0-9]{1,9})(?:\.\w+)?"?\s*,\s*"?(?P<label>[^,"]+?)"?$'
LABELS = {
    "1": "happiness",
    "2": "sadness",
    "3": "neutral",
    "4": "anger",
    "5": "surprise",
    "6": "disgust",
    "7": "fear",
}

# All frames, videos (in part folders, without zeros), 16 frames of each clip.
PLACES = (
    Place(folder="Clip/clip_224x224", kind=FRAME_FOLDER),
    Place(folder="Clip/jpg_256", kind=FRAME_FOLDER),
    Place(folder="Clip/original", kind=VIDEO, depth=2),
    Place(folder="Clip/clip_224x224_avi", kind=VIDEO, depth=2),
    Place(folder="Clip/clip_224x224_16f", kind=FRAME_FOLDER),
    Place(folder="Clip/clip_224x16f", kind=FRAME_FOLDER),
)
NUMBER = pl.col("path").str.extract(r"(?:^|/)0*([0-9]{1,9})(?:\.[^./]+)?$", 1).str.zfill(5)


def fits(root: Path) -> bool:
    return any_case.first_existing(root, [LISTS]) is not None


def read(root: Path, _: Options) -> Rows:
    """All clips that a fold names. Raises UserError where lists are missing, malformed or contradict each other."""
    lists = root / (any_case.first_existing(root, [LISTS]) or LISTS)
    folds = [number for number in FOLDS if any(_list(lists, part, number).exists() for part in PARTS)]
    if not folds:
        raise UserError(f"{lists}: it holds no {PARTS[TRAIN]}/set_1.csv; unpack DFEW's annotation there")
    entries = pl.concat(_entries(lists, part, number) for number in folds for part in PARTS)
    _refuse_zero(entries)
    rows, problems = one_row_a_clip(entries)
    rows, strange = read_labels(rows, SEVEN, LABELS)
    found = find(root, PLACES, rows["clip_id"], NUMBER)
    first = found.clips.unique("clip_id", keep="first", maintain_order=True)
    again = found.clips.join(first, on="path", how="anti").join(rows, on="clip_id", how="semi")["path"]
    rows = rows.join(first, on="clip_id", how="left", maintain_order="left")
    rows = rows.with_columns(pl.coalesce("path", pl.format("{}/{}", pl.lit(found.folder), "clip_id")))
    rows, unlocated = listed_clips.locate(rows, root, left_out=again)
    doubled = problem("duplicate", "clips have the number of another; they are left out", again)
    return Rows(table=rows, problems=(*problems, *strange, *doubled, *unlocated, *found.problems))


def _list(lists: Path, part: str, fold: int) -> Path:
    return any_case.any_case(
        lists / (any_case.first_existing(lists, [PARTS[part]]) or PARTS[part]) / f"set_{fold}.csv"
    )


def _entries(lists: Path, part: str, fold: int) -> pl.DataFrame:
    """One list: clip_id (five digits), label as written, part, fold, file, line."""
    lines = read_lines(_list(lists, part, fold), FORM, "00001,3", header="video_name,label")
    names = pl.col("name").cast(pl.Int64).cast(pl.String).str.zfill(5)
    label = pl.col("label").str.replace(r"\.0+$", "")  # as a spreadsheet writes 1
    return lines.with_columns(label, clip_id=names, part=pl.lit(part), fold=pl.lit(fold, pl.Int32)).drop(
        "name"
    )


def _refuse_zero(entries: pl.DataFrame) -> None:
    """Raise UserError where labels are counted from 0, as some code does: each would be read as the one before."""
    zeros = entries.filter(pl.col("label").str.contains(r"^\s*0\s*$"))
    if len(zeros):
        raise UserError(
            f"{zeros['file'][0]}, line {zeros['line'][0]}: labels run from 0; DFEW's are 1–7; take its own lists"
        )


READER = Reader(
    name="dfew",
    title="DFEW, Dynamic Facial Expression in the Wild",
    fits=fits,
    read=read,
    expects=(
        "EmoLabel_DataSplit/{train,test}(single-labeled)/set_{1..5}.csv (video_name,label: 00001,3; labels 1–7: "
        + ", ".join(LABELS.values())
        + ")",
        "Clip/clip_224x224/00001/*.jpg (face crops: give --input face), or else videos in Clip/original/",
    ),
    traces=r"emolabel_datasplit|(clip/)?clip_224x\w*|clip/(original|jpg_256)",
    face_crops=True,
    protocol="five folds: train crossval --folds official, or --fold 1",
    classes=SEVEN,
    counts="16 372 clips, of which the lists name the 11 697 with a single label; fold 1: 9356 train, 2341 test",
    licence="DFEW's request form and its licence agreement (academic use), dfew-dataset.github.io",
    cite="Jiang, Zong, Zheng, Tang, Xia, Lu, Liu 2020, DFEW, ACM Multimedia",
)
