"""MAFW: five folds as text lists of videos with one of eleven expressions; other lists name compound ones."""

import re
from pathlib import Path

import polars as pl

from data_manifest import disk
from data_manifest.folds import TEST, TRAIN, one_row_a_clip
from data_manifest.labels import SEVEN, canonical_name, read_labels
from data_manifest.readers import Options, Reader, Rows, problem
from data_manifest.text_lists import read_lines
from schemas.errors import UserError
from schemas.manifest import VIDEO

CLASSES = (*SEVEN, "contempt", "anxiety", "helplessness", "disappointment")
FOLDS = range(1, 6)
TREES = ("Train & Test Set", "Train&Test Set", "Train_Test_Set", "labels", ".")
SINGLE, COMPOUND = ("single",), ("compound", "multi", "multiple")
FORM = r"^(?P<name>[^\s/\\]+)\s+(?P<label>\S+)$"
BETWEEN = re.compile(r"[_+,-]+")  # the emotions of a compound label

VIDEO_FOLDERS = ("data/clips", "clips")
FRAME_FOLDERS = ("data/frames", "frames")


def fits(root: Path) -> bool:
    return _lists(root, SINGLE) is not None


def read(root: Path, options: Options) -> Rows:
    """All clips that a fold names; those with compound labels only where `options.compound` asks for them.

    Raises UserError where lists are missing, malformed or contradict each other.
    """
    single, compound = _lists(root, SINGLE), _lists(root, COMPOUND)
    lists = compound if options.compound and compound else single
    if lists is None:
        raise UserError(
            f"{root}: no single/no_caption/set_1/train.txt in it or in its {TREES[0]!r}; unpack MAFW's lists"
        )
    rows, problems = one_row_a_clip(_entries(lists))
    names, several = _spellings(rows["label"])
    left_out = rows.clear()
    if not options.compound:
        among = rows.select("clip_id", "label")
        if compound:
            among = pl.concat([among, _entries(compound).select("clip_id", "label")])
        among = among.filter(pl.col("label").is_in(_spellings(among["label"])[1]))
        left_out = among.unique("clip_id").sort("clip_id")
        rows = rows.filter(~pl.col("label").is_in(several))
    text = "clips have a compound label and are left out; --compound keeps them"
    problems += problem("compound", text, left_out["clip_id"])
    classes = (*CLASSES, *dict.fromkeys(names[label] for label in several))
    rows, strange = read_labels(rows, classes, names)
    rows, unlocated = disk.locate(_with_paths(rows, root), root, _with_paths(left_out, root)["path"])
    return Rows(table=rows, problems=(*problems, *strange, *unlocated))


def _lists(root: Path, kinds: tuple[str, ...]) -> Path | None:
    """The folder that holds set_1 … set_5, or some of them, of single or compound labels."""
    folders = (f"{tree}/{kind}/no_caption/set_{k}" for tree in TREES for kind in kinds for k in FOLDS)
    found = disk.first_existing(root, folders)
    return (root / found).parent if found else None


def _entries(lists: Path) -> pl.DataFrame:
    """All lists: clip_id (the name without its suffix), label as written, part, fold, file, line."""
    parts = []
    for fold in (number for number in FOLDS if (lists / f"set_{number}").is_dir()):
        for part in (TRAIN, TEST):
            lines = read_lines(lists / f"set_{fold}" / f"{part}.txt", FORM, "03747.mp4 anger")
            clip_id = pl.col("name").str.replace(r"\.\w+$", "")
            parts.append(lines.with_columns(clip_id=clip_id, part=pl.lit(part), fold=pl.lit(fold, pl.Int32)))
    return pl.concat(parts).drop("name")


def _spellings(labels: pl.Series) -> tuple[dict[str, str], list[str]]:
    """What each class is silently read as (compound ones part by part), and which labels are compound."""
    names, several = {name: name for name in CLASSES}, []
    for label in labels.unique().sort():
        emotions = [canonical_name(part) for part in BETWEEN.split(label) if part]
        if len(emotions) > 1:
            names[label] = "_".join(sorted(emotions))
            several.append(label)
    return names, several


def _with_paths(rows: pl.DataFrame, root: Path) -> pl.DataFrame:
    videos = disk.first_existing(root, VIDEO_FOLDERS)
    frames = disk.first_existing(root, FRAME_FOLDERS)
    if videos is None and frames is not None:
        return rows.with_columns(path=pl.format("{}/{}", pl.lit(frames), "clip_id"))
    expected = rows.with_columns(
        _expected=pl.format("{}/{}.mp4", pl.lit(videos or VIDEO_FOLDERS[0]), "clip_id")
    )
    if videos is None:
        return expected.rename({"_expected": "path"})
    # Some have converted the clips: another suffix, or capitals.
    stem = pl.col("path").str.extract(r"([^/]+)\.[^./]+$", 1)
    there = disk.list_tree(root, videos, depth=1).filter(kind=VIDEO).select("path", clip_id=stem)
    named = there.unique("clip_id", keep="first", maintain_order=True)
    found = expected.join(named, on="clip_id", how="left", maintain_order="left")
    return found.with_columns(path=pl.coalesce("path", "_expected")).drop("_expected")


READER = Reader(
    name="mafw",
    title="MAFW, a multi-modal affective database in the wild",
    fits=fits,
    read=read,
    expects=(
        "Train & Test Set/single/no_caption/set_{1..5}/{train,test}.txt (compound/… beside it for --compound)",
        "data/clips/*.mp4 (or another video format), or else data/frames/<number>/*.png",
    ),
    traces="train ?[&_] ?test[ _]set",
    compound=True,
    protocol="five folds: train crossval --folds official, or --fold 1",
    classes=CLASSES,
    counts="10 045 clips, of which 9172 with a single label",
    licence="MAFW's academics agreement (non-commercial research), mafw-database.github.io/MAFW",
    cite="Liu, Dai, Feng, Wang, Yin, Zeng, Shan 2022, MAFW, ACM Multimedia",
)
