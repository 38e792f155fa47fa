"""FERV39k: one list each for training and test, whose lines name scene, expression and number of a frame folder."""

import re
from pathlib import Path

import polars as pl

from dfer.data_manifest.disk import any_case, listed_clips
from dfer.data_manifest.disk.clip_folders import Place, find
from dfer.data_manifest.labels import SEVEN, SEVEN_FOLDERS, canonical, read_labels
from dfer.data_manifest.official_splits import TEST, TRAIN, one_row_a_clip
from dfer.data_manifest.problems import Problem, problem
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.data_manifest.text_files import read_lines
from dfer.schemas.manifest import FRAME_FOLDER
from dfer.schemas.support.errors import UserError

# Some unpackers nest a folder in one of its own name, some repositories put all but the clips into FERV39k.
LISTS = tuple(
    f"{above}{folder}All_scenes"
    for above in ("", "FERV39k/")
    for folder in ("4_setups/", "", "4_setups/4_setups/")
)
PLACES = tuple(
    Place(folder=f"{above}2_ClipsforFaceCrop", kind=FRAME_FOLDER, depth=3) for above in ("", "FERV39k/")
)
CLIP_ID = pl.col("path").str.extract(r"([^/]+/[^/]+/[^/]+)$", 1)
# Groups of scenes by their names in published tables, and what else they are called, as letters alone.
GROUPS = {
    "DL11k": ("dl", "dailylife"),
    "WIS9k": ("wis", "weakinteractiveshow", "weakinteractiveshows"),
    "SIA10k": ("sia", "stronginteractiveactivity", "stronginteractiveactivities"),
    "AI9k": ("ai", "anomalyissue", "anomalyissues"),
}
GROUP_NAMES = {other: name for name, others in GROUPS.items() for other in others}
FORM = r"^(?P<scene>[^/\\]+)[/\\](?P<emotion>[^/\\]+)[/\\](?P<number>[^/\\]+?)\s+(?P<label>\S+)$"


def fits(root: Path) -> bool:
    lists = any_case.first_existing(root, LISTS)
    return lists is not None and any_case.any_case(root / lists / "train_All.csv").is_file()


def read(root: Path, _: Options) -> Rows:
    """All clips of all scenes. Raises UserError where a list is missing, malformed or contradicts the other."""
    lists = any_case.first_existing(root, LISTS)
    if lists is None:
        raise UserError(f"{root}: it has no folder {LISTS[0]} with train_All.csv and test_All.csv")
    files = {part: any_case.any_case(root / lists / f"{part}_All.csv") for part in (TRAIN, TEST)}
    entries = pl.concat(_entries(file, part) for part, file in files.items())
    rows, problems = one_row_a_clip(entries)
    groups, of_groups = _scene_groups((root / lists).parent)
    if groups.is_empty():
        text = f"{len(rows)} clips have no group of scenes: no list such as 4_setups/…/train_DL11k.csv names several"
        of_groups.append(Problem(kind="scene groups", count=len(rows), text=f"{text} scenes"))
    rows = rows.join(groups, on="clip_id", how="left", maintain_order="left")
    rows, strange = read_labels(rows, SEVEN, SEVEN_FOLDERS)
    strange += _contradictions(rows)
    found = find(root, PLACES, rows["clip_id"], CLIP_ID)
    rows = rows.with_columns(path=pl.format("{}/{}", pl.lit(found.folder), "clip_id"))
    rows, unlocated = listed_clips.locate(rows, root)
    return Rows(table=rows, problems=(*problems, *of_groups, *strange, *unlocated, *found.problems))


def _entries(file: Path, part: str) -> pl.DataFrame:
    """One list: clip_id (as `Action/Happy/0267`), scene, emotion, label as written, part, file, line."""
    lines = read_lines(file, FORM, "Action/Happy/0267 Happy")
    clip_id = pl.format("{}/{}/{}", "scene", "emotion", "number")
    lines = lines.with_columns(clip_id=clip_id, part=pl.lit(part), fold=pl.lit(None, pl.Int32))
    return lines.drop("number")


def _contradictions(rows: pl.DataFrame) -> list[Problem]:
    """Clips whose label is another emotion than the one whose folder they are in; the label counts."""
    folder = canonical(pl.col("emotion"))
    differ = rows.filter(folder.is_in(list(SEVEN)) & (folder != pl.col("label")))
    named = differ.select(pl.format("{}: {}", "clip_id", "label")).to_series()
    return problem("labels", "labels contradict their folder; the label counts", named)


def _scene_groups(setups: Path) -> tuple[pl.DataFrame, list[Problem]]:
    """clip_id and scene_group of the clips that lists of several scenes name, such as `…/train_DL11k.csv`.

    FERV39k ships a pair of lists for each of its other setups beside All_scenes: single scenes, and its four groups
    of scenes. Which is which, the lists say themselves.
    """
    lists = [pl.DataFrame(schema={"clip_id": pl.String, "scene": pl.String, "scene_group": pl.String})]
    problems: list[Problem] = []
    beside = setups.glob("*/*.csv") if setups.name.lower() == "4_setups" else ()
    for file in (file for file in sorted(beside) if file.parent.name.lower() != "all_scenes"):
        part, _, group = file.stem.partition("_")
        if part.lower() not in (TRAIN, TEST):
            continue
        try:
            named = _entries(file, part)
        except UserError as error:  # the scenes are read without it
            problems += problem("scene groups", "list of scenes is left out", pl.Series([str(error)]))
            continue
        lists.append(named.select("clip_id", "scene", scene_group=pl.lit(_group_name(group))))
    named = pl.concat(lists).filter(pl.col("scene").n_unique().over("scene_group") > 1)
    named = named.select("clip_id", "scene_group").unique(maintain_order=True)
    groups = named.unique("clip_id", keep="first", maintain_order=True)
    again = named.join(groups, on=["clip_id", "scene_group"], how="anti")["clip_id"]
    problems += problem("scene groups", "clips are in several groups of scenes; the first counts", again)
    return groups, problems


def _group_name(written: str) -> str:
    """A group's name as published tables have it, whatever its list is called; another one stays."""
    return GROUP_NAMES.get(re.sub(r"[^a-z]", "", re.sub(r"\d+k$", "", written.lower())), written)


READER = Reader(
    name="ferv39k",
    title="FERV39k, 22 scenes",
    fits=fits,
    read=read,
    expects=(
        "4_setups/All_scenes/{train,test}_All.csv (Action/Happy/0267 Happy; and the lists of scene groups beside it)",
        "2_ClipsforFaceCrop/<scene>/<emotion>/<number>/*.jpg (face crops: give --input face)",
    ),
    traces="2_clipsforfacecrop|4_setups|all_scenes",
    face_crops=True,
    protocol="one split; figures by scene and scene group come with train evaluate",
    classes=SEVEN,
    counts="38 935 clips: 31 088 train, 7847 test",
    licence="FERV39k's terms and conditions (non-commercial research), on its project page, password by e-mail",
    cite="Wang, Sun, Huang, Liu, Gao, Zhang, Ge, Zhang 2022, FERV39k, CVPR",
)
