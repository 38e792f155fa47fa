"""MAFW: five folds as text lists of videos with one of eleven expressions; other lists have compound labels."""

import re
from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.any_case import file_in_any_case, first_folder
from dfer.data_manifest.disk.clip_folders import ClipFolder, KnownFolders
from dfer.data_manifest.disk.listed_clips import read_listed
from dfer.data_manifest.labels import ELEVEN, canonical_name
from dfer.data_manifest.official_splits import TEST, TRAIN
from dfer.data_manifest.problems import report
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.data_manifest.text_files import read_lines
from dfer.schemas.manifest import FRAME_FOLDER, VIDEO
from dfer.schemas.support.errors import UserError

FOLDS = range(1, 6)
ANNOTATIONS = ("Train & Test Set", "Train&Test Set", "Train_Test_Set", "labels", ".")
SINGLE, COMPOUND = ("single",), ("compound", "multi", "multiple")
FORM = r"^(?P<name>[^\s/\\]+)\s+(?P<label>\S+)$"
BETWEEN_EMOTIONS = re.compile(r"[_+,-]+")
CLIPS = KnownFolders(
    folders=(
        *(ClipFolder(path=path, kind=VIDEO) for path in ("data/clips", "clips")),
        *(ClipFolder(path=path, kind=FRAME_FOLDER) for path in ("data/frames", "frames")),
    ),
    clip_id=pl.col("path").str.extract(r"([^/]+?)(?:\.\w+)?$", 1),
    file_name="name",
)


def fits(root: Path) -> bool:
    return _lists(root, SINGLE) is not None


def read(root: Path, options: Options) -> Rows:
    """Read all clips of all folds by their single labels.

    With `options.compound` the clips of the compound lists too. They take their label from there, and all compound
    labels are kept.
    Raises UserError if lists are missing, malformed or contradictory.
    """
    single, compound = _lists(root, SINGLE), _lists(root, COMPOUND)
    if single is None and not (options.compound and compound):
        raise UserError(
            f"{root}: no single/no_caption/set_1/train.txt in it or in its {ANNOTATIONS[0]!r}; unpack MAFW's lists"
        )
    of_lists = [_entries(lists) for lists in (single, compound) if lists]
    of_single = of_lists[0] if single else of_lists[0].clear()
    of_compound = of_lists[-1] if compound else of_single.clear()
    if options.compound:
        of_single = of_single.join(of_compound, on="clip_id", how="anti", maintain_order="left")
    entries = pl.concat([of_single, of_compound])
    names, several = _spellings(entries["label"])
    left_out = entries.clear()
    if not options.compound:
        is_compound = pl.col("label").is_in(several)
        left_out = entries.filter(is_compound).unique("clip_id").sort("clip_id")
        entries = of_single.filter(~is_compound)
        left_out = left_out.join(entries, on="clip_id", how="anti", maintain_order="left")
        if len(left_out) and entries.is_empty():
            raise UserError(f"{single or compound}: all labels are compound; keep them with --compound")
    classes = (*ELEVEN, *dict.fromkeys(names[label] for label in several))
    rows = read_listed(entries, root, classes, written=names, known=CLIPS, left_out=left_out)
    text = "clips with a compound label, left out (--compound keeps them)"
    return Rows(table=rows.table, problems=(*report("compound", text, left_out["clip_id"]), *rows.problems))


def _lists(root: Path, kinds: tuple[str, ...]) -> Path | None:
    """The folder with set_1 … set_5, or some of them, of single or compound labels."""
    folders = (f"{above}/{kind}/no_caption/set_{k}" for above in ANNOTATIONS for kind in kinds for k in FOLDS)
    found = first_folder(root, folders)
    return (root / found).parent if found else None


def _entries(lists: Path) -> pl.DataFrame:
    """All lists: name (of the video), clip_id (without its suffix), label as written, part, fold, file, line."""
    parts = []
    folders = [(fold, first_folder(lists, [f"set_{fold}"])) for fold in FOLDS]
    for fold, folder in ((fold, lists / folder) for fold, folder in folders if folder):
        for part in (TRAIN, TEST):
            lines = read_lines(file_in_any_case(folder / f"{part}.txt"), FORM, "03747.mp4 anger")
            clip_id = pl.col("name").str.replace(r"\.\w+$", "")
            parts.append(lines.with_columns(clip_id=clip_id, part=pl.lit(part), fold=pl.lit(fold, pl.Int32)))
    return pl.concat(parts)


def _spellings(labels: pl.Series) -> tuple[dict[str, str], list[str]]:
    """The class that each label stands for (compound ones emotion by emotion), and which labels are compound."""
    names, several = {name: name for name in ELEVEN}, []
    for label in labels.unique().sort():
        emotions = [canonical_name(part) for part in BETWEEN_EMOTIONS.split(label) if part]
        if len(emotions) > 1:
            names[label] = "_".join(sorted(emotions))
            several.append(label)
    return names, several


READER = Reader(
    name="mafw",
    title="MAFW, a multi-modal affective database in the wild",
    fits=fits,
    read=read,
    expects=(
        "Train & Test Set/single/no_caption/set_{1..5}/{train,test}.txt (and compound/… for --compound)",
        "data/clips/*.mp4 (or another video format), or data/frames/<number>/*.png",
    ),
    traces="train ?[&_] ?test[ _]set",
    compound=True,
    protocol="five folds: train crossval --folds official, or --fold 1",
    classes=ELEVEN,
    counts="10 045 clips, 9172 of them with a single label",
    licence="MAFW's academics agreement (non-commercial research), mafw-database.github.io/MAFW",
    cite="Liu, Dai, Feng, Wang, Yin, Zeng, Shan 2022, MAFW, ACM Multimedia",
)
