"""MAFW: five folds as text lists of videos with one of eleven expressions; other lists name compound ones."""

import re
from pathlib import Path

import polars as pl

from dfer.data_manifest.disk import any_case, listed_clips
from dfer.data_manifest.disk.clip_folders import Found, Place, find
from dfer.data_manifest.labels import SEVEN, canonical_name, read_labels
from dfer.data_manifest.official_splits import TEST, TRAIN, one_row_a_clip
from dfer.data_manifest.problems import problem
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.data_manifest.text_files import read_lines
from dfer.schemas.manifest import FRAME_FOLDER, VIDEO
from dfer.schemas.support.errors import UserError

CLASSES = (*SEVEN, "contempt", "anxiety", "helplessness", "disappointment")
FOLDS = range(1, 6)
TREES = ("Train & Test Set", "Train&Test Set", "Train_Test_Set", "labels", ".")
SINGLE, COMPOUND = ("single",), ("compound", "multi", "multiple")
FORM = r"^(?P<name>[^\s/\\]+)\s+(?P<label>\S+)$"
BETWEEN = re.compile(r"[_+,-]+")  # the emotions of a compound label

PLACES = (
    *(Place(folder=folder, kind=VIDEO) for folder in ("data/clips", "clips")),
    *(Place(folder=folder, kind=FRAME_FOLDER) for folder in ("data/frames", "frames")),
)
STEM = pl.col("path").str.extract(r"([^/]+?)(?:\.\w+)?$", 1)


def fits(root: Path) -> bool:
    return _lists(root, SINGLE) is not None


def read(root: Path, options: Options) -> Rows:
    """All clips that a fold names, by their single labels. With `options.compound` the clips of the compound lists
    too, which have their label from there, and all compound labels are kept.

    Raises UserError where lists are missing, malformed or contradict each other.
    """
    single, compound = _lists(root, SINGLE), _lists(root, COMPOUND)
    if single is None and not (options.compound and compound):
        raise UserError(
            f"{root}: no single/no_caption/set_1/train.txt in it or in its {TREES[0]!r}; unpack MAFW's lists"
        )
    of_lists = [_entries(lists) for lists in (single, compound) if lists]
    of_single = of_lists[0] if single else of_lists[0].clear()
    of_compound = of_lists[-1] if compound else of_single.clear()
    if options.compound:
        of_single = of_single.join(of_compound, on="clip_id", how="anti", maintain_order="left")
    names, several = _spellings(pl.concat([of_single["label"], of_compound["label"]]))
    entries = pl.concat([of_single, of_compound]) if options.compound else of_single
    left_out = entries.clear()
    if not options.compound:
        is_compound = pl.col("label").is_in(several)
        entries = of_single.filter(~is_compound)
        left_out = pl.concat([of_single, of_compound]).filter(is_compound).unique("clip_id").sort("clip_id")
        left_out = left_out.join(entries, on="clip_id", how="anti", maintain_order="left")
        if len(left_out) and entries.is_empty():
            raise UserError(f"{single or compound}: all its labels are compound; --compound keeps them")
    rows, problems = one_row_a_clip(entries)
    problems += problem(
        "compound", "clips have a compound label and are left out; --compound keeps them", left_out["clip_id"]
    )
    classes = (*CLASSES, *dict.fromkeys(names[label] for label in several))
    rows, strange = read_labels(rows, classes, names)
    found = find(root, PLACES, rows["clip_id"], STEM)
    unwanted = _with_paths(left_out, found)["path"]
    rows, unlocated = listed_clips.locate(_with_paths(rows, found), root, unwanted)
    return Rows(table=rows, problems=(*problems, *strange, *unlocated, *found.problems))


def _lists(root: Path, kinds: tuple[str, ...]) -> Path | None:
    """The folder that holds set_1 … set_5, or some of them, of single or compound labels."""
    folders = (f"{tree}/{kind}/no_caption/set_{k}" for tree in TREES for kind in kinds for k in FOLDS)
    found = any_case.first_existing(root, folders)
    return (root / found).parent if found else None


def _entries(lists: Path) -> pl.DataFrame:
    """All lists: name and clip_id (without its suffix), label as written, part, fold, file, line."""
    parts = []
    folders = [(fold, any_case.first_existing(lists, [f"set_{fold}"])) for fold in FOLDS]
    for fold, folder in ((fold, lists / folder) for fold, folder in folders if folder):
        for part in (TRAIN, TEST):
            lines = read_lines(any_case.any_case(folder / f"{part}.txt"), FORM, "03747.mp4 anger")
            clip_id = pl.col("name").str.replace(r"\.\w+$", "")
            parts.append(lines.with_columns(clip_id=clip_id, part=pl.lit(part), fold=pl.lit(fold, pl.Int32)))
    return pl.concat(parts)


def _spellings(labels: pl.Series) -> tuple[dict[str, str], list[str]]:
    """What each class is silently read as (compound ones part by part), and which labels are compound."""
    names, several = {name: name for name in CLASSES}, []
    for label in labels.unique().sort():
        emotions = [canonical_name(part) for part in BETWEEN.split(label) if part]
        if len(emotions) > 1:
            names[label] = "_".join(sorted(emotions))
            several.append(label)
    return names, several


def _with_paths(rows: pl.DataFrame, found: Found) -> pl.DataFrame:
    """Add `path`: the file that the list names, else one of its number in another format, else where it should be."""
    first = found.clips.unique("clip_id", keep="first", maintain_order=True)
    rows = rows.join(first, on="clip_id", how="left", maintain_order="left")
    listed = pl.format("{}/{}", pl.lit(found.folder), "name")
    there = pl.when(listed.is_in(found.clips["path"].implode())).then(listed)
    suffix = ".mp4" if found.kind == VIDEO else ""
    expected = pl.format("{}/{}{}", pl.lit(found.folder), "clip_id", pl.lit(suffix))
    return rows.with_columns(path=pl.coalesce(there, "path", expected))


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
