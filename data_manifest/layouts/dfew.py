"""DFEW: five folds as CSV lists of numbered clips; the clips as folders of face crops, or as the original videos."""

from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.any_case import file_in_any_case, first_folder
from dfer.data_manifest.disk.clip_folders import ClipFolder, KnownFolders
from dfer.data_manifest.disk.listed_clips import read_listed
from dfer.data_manifest.labels import SEVEN
from dfer.data_manifest.official_splits import TEST, TRAIN
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.data_manifest.text_files import read_lines
from dfer.schemas.manifest import FRAME_FOLDER, VIDEO
from dfer.schemas.support.errors import UserError

FOLDS = range(1, 6)
LISTS = "EmoLabel_DataSplit"
PART_FOLDERS = {TRAIN: "train(single-labeled)", TEST: "test(single-labeled)"}
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
CLIPS = KnownFolders(
    folders=(
        ClipFolder(path="Clip/clip_224x224", kind=FRAME_FOLDER),
        ClipFolder(path="Clip/jpg_256", kind=FRAME_FOLDER),
        ClipFolder(path="Clip/original", kind=VIDEO, depth=2),  # in part folders, numbers without zeros
        ClipFolder(path="Clip/clip_224x224_avi", kind=VIDEO, depth=2),
        ClipFolder(path="Clip/clip_224x224_16f", kind=FRAME_FOLDER),  # 16 frames of each clip
        ClipFolder(path="Clip/clip_224x16f", kind=FRAME_FOLDER),
    ),
    clip_id=pl.col("path").str.extract(r"(?:^|/)0*([0-9]{1,9})(?:\.[^./]+)?$", 1).str.zfill(5),
)


def fits(root: Path) -> bool:
    return first_folder(root, [LISTS]) is not None


def read(root: Path, _: Options) -> Rows:
    """Read all clips of all folds. Raises UserError if lists are missing, malformed or contradictory."""
    lists = root / (first_folder(root, [LISTS]) or LISTS)
    folds = [number for number in FOLDS if any(_list(lists, part, number).exists() for part in PART_FOLDERS)]
    if not folds:
        raise UserError(f"{lists}: no {PART_FOLDERS[TRAIN]}/set_1.csv in it; unpack DFEW's annotation there")
    entries = pl.concat(_entries(lists, part, number) for number in folds for part in PART_FOLDERS)
    _refuse_zero(entries)
    return read_listed(entries, root, SEVEN, written=LABELS, known=CLIPS)


def _list(lists: Path, part: str, fold: int) -> Path:
    folder = first_folder(lists, [PART_FOLDERS[part]]) or PART_FOLDERS[part]
    return file_in_any_case(lists / folder / f"set_{fold}.csv")


def _entries(lists: Path, part: str, fold: int) -> pl.DataFrame:
    """One list: clip_id (five digits), label as written, part, fold, file, line."""
    lines = read_lines(_list(lists, part, fold), FORM, "00001,3", header="video_name,label")
    return lines.select(
        "file",
        "line",
        clip_id=pl.col("name").cast(pl.Int64).cast(pl.String).str.zfill(5),
        label=pl.col("label").str.replace(r"\.0+$", ""),  # a spreadsheet's 1.0
        part=pl.lit(part),
        fold=pl.lit(fold, pl.Int32),
    )


def _refuse_zero(entries: pl.DataFrame) -> None:
    """Raise UserError for labels counted from 0, as some code does: each would be read as the one before."""
    zeros = entries.filter(pl.col("label").str.contains(r"^\s*0\s*$"))
    if len(zeros):
        file, line = zeros.select("file", "line").row(0)
        raise UserError(f"{file}, line {line}: labels start at 0, DFEW's are 1–7; use DFEW's own lists")


READER = Reader(
    name="dfew",
    title="DFEW, Dynamic Facial Expression in the Wild",
    fits=fits,
    read=read,
    expects=(
        "EmoLabel_DataSplit/{train,test}(single-labeled)/set_{1..5}.csv",
        "Clip/clip_224x224/00001/*.jpg (face crops: use --input face), or videos in Clip/original/",
    ),
    traces=r"emolabel_datasplit|clip_224x\w*|clip/(original|jpg_256)",
    face_crops=True,
    protocol="five folds: train crossval --folds official, or --fold 1",
    classes=SEVEN,
    counts="16 372 clips; the lists have the 11 697 with a single label; fold 1: 9356 train, 2341 test",
    licence="DFEW's request form and licence agreement (academic use), dfew-dataset.github.io",
    cite="Jiang, Zong, Zheng, Tang, Xia, Lu, Liu 2020, DFEW, ACM Multimedia",
)
