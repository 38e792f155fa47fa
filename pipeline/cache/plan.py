"""Manifest to shards: which clips go into which shard, and which shards still have to be extracted."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dfer.schemas.cache import COMMIT_FILE
from dfer.schemas.manifest import IMAGE, MISSING

SHARD_CLIPS = 256
SHARD_STILLS = 4096  # a minute of one core


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Consecutive clips of a manifest.

    clip_ids, paths: one entry per clip
    sizes: bytes of each clip's file; None for a frame folder
    missing: positions of the clips that were not on disk when the manifest was read
    stills: positions of the stills
    """

    index: int
    clip_ids: list[str]
    paths: list[str]
    sizes: list[int | None]
    missing: tuple[int, ...] = ()
    stills: tuple[int, ...] = ()

    @property
    def clip_list_hash(self) -> str:
        """sha256 of the clip list. A commit is valid only for the clips it was made from."""
        content = [self.clip_ids, self.paths, self.sizes, self.missing]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def default_shard_clips(clips: pl.DataFrame) -> int:
    """Choose how many clips of a manifest go into a shard: more if all are stills, which are extracted faster."""
    on_disk = clips.filter(pl.col("kind") != MISSING)["kind"]
    return SHARD_STILLS if len(on_disk) and (on_disk == IMAGE).all() else SHARD_CLIPS


def plan_shards(clips: pl.DataFrame, shard_clips: int) -> list[Shard]:
    """Cut a manifest table into shards of `shard_clips` clips; the last one may be smaller."""
    return [
        Shard(
            index=index,
            clip_ids=part["clip_id"].to_list(),
            paths=part["path"].to_list(),
            sizes=part["bytes"].to_list(),
            missing=tuple((part["kind"] == MISSING).arg_true().to_list()),
            stills=tuple((part["kind"] == IMAGE).arg_true().to_list()),
        )
        for index, part in enumerate(clips.iter_slices(shard_clips))
    ]


def shards_to_do(cache: Path, shards: Sequence[Shard], settings_hash: str) -> Iterator[Shard]:
    """Find the shards without a valid commit."""
    return (shard for shard in shards if not is_committed(cache, shard, settings_hash))


def is_committed(cache: Path, shard: Shard, settings_hash: str) -> bool:
    """Tell whether a shard has a commit that matches the settings, the clip list and the sizes of its files."""
    try:
        commit = json.loads((cache / COMMIT_FILE.format(shard.index)).read_bytes())
        agrees = (commit["settings_hash"], commit["clip_list_hash"]) == (settings_hash, shard.clip_list_hash)
        return agrees and all(
            (cache / name).stat().st_size == file["bytes"] for name, file in commit["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False
