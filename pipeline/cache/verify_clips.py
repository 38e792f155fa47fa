"""Checks of the tables of clips: `clips.parquet`, those of the shards, and the manifest."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import polars as pl

from dfer.pipeline.cache.counts import own_rows
from dfer.pipeline.cache.plan import plan_shards
from dfer.pipeline.cache.verify_content import Commit, each, read_table, require
from dfer.schemas.cache import CLIPS_SCHEMA, OK, PERSON, RESULTS_SCHEMA, STATUSES, CacheInfo
from dfer.schemas.manifest import KINDS, MANIFEST_SCHEMA, votes_fit

SHA256 = "[0-9a-f]{64}"


def read_results(path: Path, index: int, commit: Commit | None, info: CacheInfo | None) -> pl.DataFrame:
    """Read and check a shard's clip table (RESULTS_SCHEMA)."""
    table = read_table(path, info.results_schema if info else RESULTS_SCHEMA)
    _check_ids(table)
    _check_people(table)
    ok, fingerprint = pl.col("status") == OK, pl.col("fingerprint")
    most = info.settings["frames"] if info else 2**31 - 1
    frames = pl.col("frames").is_between(
        pl.when(ok).then(1).otherwise(0), pl.when(ok).then(most).otherwise(0)
    )
    faces = pl.col("frames_with_face").is_between(pl.when(ok).then(1).otherwise(0), pl.col("frames"))
    each(table, pl.col("status").is_in(STATUSES), "unknown status")
    each(table, ok == pl.col("reason").is_null(), "its status and reason contradict each other")
    each(table, pl.col("shard") == index, f"its shard is not {index}")
    each(table, frames, "invalid number of frames")
    each(table, faces, "invalid number of frames with a face")
    for name in ("fps", "duration_s"):
        each(table, pl.col(name).is_null() | pl.col(name).is_finite(), f"its {name} is NaN or Inf")
    each(
        table,
        fingerprint.is_null() | fingerprint.str.contains(f"^{SHA256}$"),
        "its fingerprint is not a sha256",
    )
    usable = (table["status"] == OK).to_list()
    rows = [sum(usable[:i]) if good else None for i, good in enumerate(usable)]
    require(table["row"].to_list() == rows, "its row numbers do not count the usable clips")
    if commit:
        clips, faces = commit.rows["clips"], commit.rows["faces"]
        agree = (len(table), sum(usable)) == (clips, faces)
        found = f"{len(table)} clips, {sum(usable)} usable"
        require(agree, f"{found}, but {clips} and {faces} in its commit")
    return table


def check_clips(
    path: Path,
    info: CacheInfo | None,
    commits: Mapping[int, Commit | None],
    results: Mapping[int, pl.DataFrame | None],
) -> None:
    """Check `clips.parquet` against the labels, the commits and the shards' clip tables."""
    clips = read_table(path, info.clips_schema if info else CLIPS_SCHEMA)
    _check_ids(clips)
    _check_people(clips)
    require(clips["shard"].to_list() == sorted(clips["shard"].to_list()), "its clips are not in shard order")
    shards = set(clips["shard"]) == set(commits)
    require(shards, f"its shard list does not match the {len(commits)} commits")
    inside = pl.col("path").map_elements(_is_inside, return_dtype=pl.Boolean)
    each(clips, inside, "its path leads out of the dataset's folder")
    if info:
        known = pl.col("label").is_null() | pl.col("label").is_in(info.labels)
        each(clips, known, "its label is not in cache.json")
        each(clips, votes_fit(len(info.labels)), "its votes do not fit the labels in cache.json")
        sizes = own_rows(clips).group_by("shard", maintain_order=True).len()["len"].to_list()
        limit = info.settings["shard_clips"]
        require(set(sizes[:-1]) <= {limit} and sizes[-1] <= limit, f"a shard does not have {limit} clips")
    for (index,), part in clips.group_by("shard", maintain_order=True):
        table = results[index]
        if table is not None:
            names = [name for name in table.columns if name in (*RESULTS_SCHEMA, PERSON)]
            same = set(names) <= set(part.columns) and part.select(names).equals(table.select(names))
            require(same, f"it does not match the clip table of shard {index}")


def check_manifest(
    path: Path, clips_path: Path, info: CacheInfo, commits: Mapping[int, Commit | None]
) -> None:
    """Check the manifest against `clips.parquet`, which is valid, and the commits."""
    manifest, clips = read_table(path, MANIFEST_SCHEMA), pl.read_parquet(clips_path, glob=False)
    shared = [name for name in MANIFEST_SCHEMA.names() if name in clips.columns]
    same = manifest.select(shared).equals(own_rows(clips).select(shared))
    require(same, "it does not match clips.parquet")
    if PERSON in clips.columns:
        others = clips.filter(pl.col(PERSON) > 1).select(
            name for name in shared if name not in ("clip_id", "path")
        )
        known = others.select(pl.all_horizontal(pl.all().is_null()).all()).item()
        require(known, "clips.parquet has a label, split or more of it for a further person of a clip")
    each(manifest, pl.col("kind").is_in(KINDS), "unknown kind")
    for shard in plan_shards(manifest, info.settings["shard_clips"]):
        commit = commits.get(shard.index)
        if commit is not None:
            made = commit.clip_list_hash == shard.clip_list_hash
            require(made, f"shard {shard.index} was made from other clips")


def _is_inside(path: str) -> bool:
    return not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts


def _check_ids(table: pl.DataFrame) -> None:
    ids = table["clip_id"]
    require(not ids.null_count() and ids.n_unique() == len(ids), "a clip is listed twice or has no id")


def _check_people(table: pl.DataFrame) -> None:
    """Check that the rows of further people follow that of their clip: usable, counted, of the same content."""
    if PERSON not in table.columns:
        return
    first = pl.col(PERSON) == 1
    of_clip = pl.when(first).then("clip_id").forward_fill()
    content = pl.when(first).then("fingerprint").forward_fill()
    counted = pl.col(PERSON) == pl.col(PERSON).shift(1, fill_value=0) + 1
    named = pl.col("clip_id") == pl.concat_str(of_clip, pl.lit("#"), pl.col(PERSON).cast(pl.String))
    usable = (pl.col("status") == OK) & (pl.col("status").shift(1) == OK)
    further = counted & named & usable & (pl.col("fingerprint") == content)
    each(table, first | further, "it is not the next person of the clip before it")
