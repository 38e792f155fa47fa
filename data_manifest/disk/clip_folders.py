"""Where a dataset's clips may lie: several folders are known, and the first that holds a listed clip is taken."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import polars as pl

from dfer.data_manifest.disk import any_case, listed_clips
from dfer.data_manifest.problems import Problem, problem


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder below the root. kind: of its clips, VIDEO or FRAME_FOLDER; depth: how many levels down they are."""

    folder: str
    kind: str
    depth: int = 1


@dataclass(frozen=True, kw_only=True)
class Found:
    """folder, kind: of the place that was taken; clips: clip_id and path of all in it, in order of their paths."""

    folder: str
    kind: str
    clips: pl.DataFrame
    problems: tuple[Problem, ...] = ()


def find(root: Path, places: Sequence[Place], ids: pl.Series, clip_id: pl.Expr) -> Found:
    """The first place that holds one of the clips; else the first that exists, or the first of all, without clips.

    clip_id: from a `path` on disk, null for what is no clip. Some unpackers put a folder into one of its own name.
    A problem says how many clips are not where the others are, but in a later place.
    """
    missing = ids.unique().to_frame("clip_id")
    existing = _existing(root, places)
    place, first = existing[0] if existing else (places[0], places[0].folder)
    nothing = pl.DataFrame(schema={"clip_id": pl.String, "path": pl.String})
    taken = Found(folder=first, kind=place.kind, clips=nothing)
    problems: list[Problem] = []
    for place, folder in existing:
        clips = _clips(root, folder, place, clip_id)
        held = clips.join(missing, on="clip_id", how="semi")
        if held.is_empty():
            continue
        missing = missing.join(clips, on="clip_id", how="anti")
        if taken.clips.is_empty():
            taken = Found(folder=folder, kind=place.kind, clips=clips)
        else:
            text = f"clips are not in {taken.folder} but in {folder}, which is not read"
            problems += problem("folders", text, held["path"])
        if missing.is_empty():
            break  # nothing to look for in the other places, which may be large
    return replace(taken, problems=tuple(problems))


def _existing(root: Path, places: Sequence[Place]) -> list[tuple[Place, str]]:
    """Places that are there, written as on disk, each followed by the folder of its own name in it."""
    named = [
        (place, any_case.first_existing(root, [folder]))
        for place in places
        for folder in (place.folder, f"{place.folder}/{PurePosixPath(place.folder).name}")
    ]
    return [(place, folder) for place, folder in named if folder]


def _clips(root: Path, folder: str, place: Place, clip_id: pl.Expr) -> pl.DataFrame:
    there = listed_clips.list_tree(root, folder, place.depth).filter(kind=place.kind)
    return there.select(clip_id.alias("clip_id"), "path").drop_nulls()
