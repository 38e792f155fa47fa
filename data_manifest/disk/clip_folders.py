"""Choose the clip folder of a dataset that ships its clips in one of several known folders."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import polars as pl

from dfer.data_manifest.disk.any_case import first_folder
from dfer.data_manifest.disk.folder_contents import list_tree
from dfer.data_manifest.problems import Problem, report
from dfer.schemas.manifest import VIDEO


@dataclass(frozen=True, kw_only=True)
class ClipFolder:
    """A folder where the clips may be.

    path: relative to the dataset's root
    kind: of its clips, VIDEO or FRAME_FOLDER
    depth: levels from the folder down to its clips
    """

    path: str
    kind: str
    depth: int = 1


@dataclass(frozen=True, kw_only=True)
class KnownFolders:
    """Where a dataset's clips can be.

    folders: the first that has a listed clip is used
    clip_id: expression from a clip's `path` to its id, null if it is not a clip
    file_name: column of the lists with a video's file name
    """

    folders: tuple[ClipFolder, ...]
    clip_id: pl.Expr
    file_name: str = "clip_id"


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The folder in use: its path and kind as in ClipFolder; clips: clip_id and path of all in it, sorted by path."""

    path: str
    kind: str
    clips: pl.DataFrame
    problems: tuple[Problem, ...] = ()


def add_paths(rows: pl.DataFrame, root: Path, known: KnownFolders) -> tuple[pl.DataFrame, Chosen]:
    """Add `path` to listed clips (clip_id, known.file_name): the file that the list names, else one with the clip's
    id, else where it should be."""
    chosen = _choose(root, known, rows["clip_id"])
    by_id = chosen.clips.unique("clip_id", keep="first", maintain_order=True)
    rows = rows.join(by_id, on="clip_id", how="left", maintain_order="left")
    listed = pl.format("{}/{}", pl.lit(chosen.path), known.file_name if chosen.kind == VIDEO else "clip_id")
    exists = listed.is_in(chosen.clips["path"].implode())
    return rows.with_columns(path=pl.coalesce(pl.when(exists).then(listed), "path", listed)), chosen


def _choose(root: Path, known: KnownFolders, ids: pl.Series) -> Chosen:
    """The first folder with one of the clips; else the first that exists, or the first of all, without clips.

    Clips that are only in a later folder are a problem.
    """
    missing = ids.unique().to_frame("clip_id")
    existing = list(_existing(root, known.folders))
    folder, path = existing[0] if existing else (known.folders[0], known.folders[0].path)
    nothing = pl.DataFrame(schema={"clip_id": pl.String, "path": pl.String})
    chosen = Chosen(path=path, kind=folder.kind, clips=nothing)
    problems: list[Problem] = []
    for folder, path in existing:
        found = list_tree(root, path, folder.depth).filter(kind=folder.kind)
        clips = found.select(known.clip_id.alias("clip_id"), "path").drop_nulls()
        held = clips.join(missing, on="clip_id", how="semi")
        if held.is_empty():
            continue
        missing = missing.join(clips, on="clip_id", how="anti")
        if chosen.clips.is_empty():
            chosen = Chosen(path=path, kind=folder.kind, clips=clips)
        else:
            text = f"clips only in {path}, not read because the others are in {chosen.path}"
            problems += report("folders", text, held["path"])
        if missing.is_empty():
            break  # nothing left to look for in the others, which may be large
    return replace(chosen, problems=tuple(problems))


def _existing(root: Path, folders: tuple[ClipFolder, ...]) -> Iterator[tuple[ClipFolder, str]]:
    """The folders that exist, with their path as on disk. Some unpackers nest a folder in one of the same name."""
    for folder in folders:
        for path in (folder.path, f"{folder.path}/{PurePosixPath(folder.path).name}"):
            found = first_folder(root, [path])
            if found:
                yield folder, found
