"""FERV39k: one list each for training and test; a line names scene, expression and number of a frame folder."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.any_case import file_in_any_case, first_folder
from dfer.data_manifest.disk.clip_folders import ClipFolder, KnownFolders
from dfer.data_manifest.disk.listed_clips import read_listed
from dfer.data_manifest.labels import SEVEN, SEVEN_FOLDERS, canonical_names
from dfer.data_manifest.official_splits import TEST, TRAIN
from dfer.data_manifest.problems import Problem, report
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.data_manifest.text_files import read_lines
from dfer.schemas.manifest import FRAME_FOLDER
from dfer.schemas.support.errors import UserError

# Some unpackers nest a folder in one of the same name; some repositories put all but the clips into FERV39k.
LIST_FOLDERS = tuple(
    f"{above}{folder}All_scenes"
    for above in ("", "FERV39k/")
    for folder in ("4_setups/", "", "4_setups/4_setups/")
)
CLIPS = KnownFolders(
    folders=tuple(
        ClipFolder(path=f"{above}2_ClipsforFaceCrop", kind=FRAME_FOLDER, depth=3)
        for above in ("", "FERV39k/")
    ),
    clip_id=pl.col("path").str.extract(r"([^/]+/[^/]+/[^/]+)$", 1),
)
FORM = r"^(?P<scene>[^/\\]+)[/\\](?P<emotion>[^/\\]+)[/\\](?P<number>[^/\\]+?)\s+(?P<label>\S+)$"
# Scene groups by their names in published tables, with their other names, letters only.
GROUPS = {
    "DL11k": ("dl", "dailylife"),
    "WIS9k": ("wis", "weakinteractiveshow", "weakinteractiveshows"),
    "SIA10k": ("sia", "stronginteractiveactivity", "stronginteractiveactivities"),
    "AI9k": ("ai", "anomalyissue", "anomalyissues"),
}
GROUP_NAMES = {other: name for name, others in GROUPS.items() for other in others}


def fits(root: Path) -> bool:
    lists = first_folder(root, LIST_FOLDERS)
    return lists is not None and file_in_any_case(root / lists / "train_All.csv").is_file()


def read(root: Path, _: Options) -> Rows:
    """Read all clips of all scenes. Raises UserError if a list is missing, malformed or contradicts the other."""
    lists = first_folder(root, LIST_FOLDERS)
    if lists is None:
        raise UserError(f"{root}: no folder {LIST_FOLDERS[0]}; unpack FERV39k's lists there")
    files = {part: file_in_any_case(root / lists / f"{part}_All.csv") for part in (TRAIN, TEST)}
    entries = pl.concat(_entries(file, part) for part, file in files.items())
    groups, of_groups = _scene_groups((root / lists).parent)
    entries = entries.join(groups, on="clip_id", how="left", maintain_order="left")
    rows = read_listed(entries, root, SEVEN, written=SEVEN_FOLDERS, known=CLIPS)
    if groups.is_empty():
        text = (
            "clips without a scene group, since no list such as 4_setups/…/train_DL11k.csv has several scenes"
        )
        of_groups.append(Problem(kind="scene groups", text=text, count=len(rows.table)))
    return replace(rows, problems=(*of_groups, *_contradictions(rows.table), *rows.problems))


def _entries(file: Path, part: str) -> pl.DataFrame:
    """One list: clip_id (as `Action/Happy/0267`), scene, emotion, label as written, part, fold, file, line."""
    lines = read_lines(file, FORM, "Action/Happy/0267 Happy")
    clip_id = pl.format("{}/{}/{}", "scene", "emotion", "number")
    lines = lines.with_columns(clip_id=clip_id, part=pl.lit(part), fold=pl.lit(None, pl.Int32))
    return lines.drop("number")


def _contradictions(rows: pl.DataFrame) -> list[Problem]:
    """Clips whose label is another emotion than the folder they are in."""
    folder = canonical_names(pl.col("emotion"))
    differ = rows.filter(folder.is_in(list(SEVEN)) & (folder != pl.col("label")))
    named = differ.select(pl.format("{}: {}", "clip_id", "label")).to_series()
    return report("labels", "labels that contradict the clip's folder; the label is used", named)


def _scene_groups(setups: Path) -> tuple[pl.DataFrame, list[Problem]]:
    """clip_id and scene_group of the clips in lists with several scenes, such as `…/train_DL11k.csv`.

    FERV39k ships a pair of lists for each of its other setups: single scenes, and four groups of scenes. Their
    content shows which is which.
    """
    lists = [pl.DataFrame(schema={"clip_id": pl.String, "scene": pl.String, "scene_group": pl.String})]
    problems: list[Problem] = []
    for file, part, group in _setup_lists(setups):
        try:
            entries = _entries(file, part)
        except UserError as error:  # the scenes can be read without it
            problems += report(
                "scene groups", "unreadable lists of scenes, left out", pl.Series([str(error)])
            )
            continue
        lists.append(entries.select("clip_id", "scene", scene_group=pl.lit(group)))
    named = pl.concat(lists).filter(pl.col("scene").n_unique().over("scene_group") > 1)
    named = named.select("clip_id", "scene_group").unique(maintain_order=True)
    groups = named.unique("clip_id", keep="first", maintain_order=True)
    again = named.join(groups, on=["clip_id", "scene_group"], how="anti")["clip_id"]
    problems += report("scene groups", "clips in several scene groups; the first is used", again)
    return groups, problems


def _setup_lists(setups: Path) -> Iterator[tuple[Path, str, str]]:
    """Each list other than All_scenes' with its part and the name of its setup."""
    files = sorted(setups.glob("*/*.csv")) if setups.name.lower() == "4_setups" else ()
    for file in files:
        part, _, group = file.stem.partition("_")
        if file.parent.name.lower() != "all_scenes" and part.lower() in (TRAIN, TEST):
            yield file, part, _group_name(group)


def _group_name(written: str) -> str:
    """A group's name as published tables have it, whatever its list is called; another name stays."""
    return GROUP_NAMES.get(re.sub(r"[^a-z]", "", re.sub(r"\d+k$", "", written.lower())), written)


READER = Reader(
    name="ferv39k",
    title="FERV39k, 22 scenes",
    fits=fits,
    read=read,
    expects=(
        "4_setups/All_scenes/{train,test}_All.csv (and the lists of scene groups next to All_scenes)",
        "2_ClipsforFaceCrop/<scene>/<emotion>/<number>/*.jpg (face crops: use --input face)",
    ),
    traces="2_clipsforfacecrop|4_setups|all_scenes",
    face_crops=True,
    protocol="one split; train evaluate also gives figures by scene and scene group",
    classes=SEVEN,
    counts="38 935 clips: 31 088 train, 7847 test",
    licence="FERV39k's terms and conditions (non-commercial research), on its project page; password by e-mail",
    cite="Wang, Sun, Huang, Liu, Gao, Zhang, Ge, Zhang 2022, FERV39k, CVPR",
)
