"""Manifest to shards: which clips go into which shard, and which shards are still to do."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from schemas.cache import COMMIT_FILE


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A fixed run of clips in manifest order: ids, paths, sizes in bytes (None for folders), of the same length."""

    index: int
    clip_ids: list[str]
    paths: list[str]
    sizes: list[int | None]

    @property
    def clip_list_hash(self) -> str:
        """sha256 of all three: a commit holds only for the clips that it was made of."""
        return hashlib.sha256(json.dumps([self.clip_ids, self.paths, self.sizes]).encode()).hexdigest()


def plan_shards(clips: pl.DataFrame, shard_clips: int) -> list[Shard]:
    """Cut a manifest table into shards of `shard_clips`; the last may hold fewer."""
    return [
        Shard(
            index=index, **dict(zip(("clip_ids", "paths", "sizes"), (c.to_list() for c in part), strict=True))
        )
        for index, part in enumerate(clips.select("clip_id", "path", "bytes").iter_slices(shard_clips))
    ]


def shards_to_do(cache: Path, shards: list[Shard], settings_hash: str) -> Iterator[Shard]:
    """The shards without a commit that holds: other settings, other clips, or files of another size."""
    return (shard for shard in shards if not is_committed(cache, shard, settings_hash))


def is_committed(cache: Path, shard: Shard, settings_hash: str) -> bool:
    """Whether the shard's commit is there and its settings hash, clip-list hash and file sizes hold."""
    try:
        commit = json.loads((cache / COMMIT_FILE.format(shard.index)).read_bytes())
        agrees = (commit["settings_hash"], commit["clip_list_hash"]) == (settings_hash, shard.clip_list_hash)
        return agrees and all(
            (cache / name).stat().st_size == file["bytes"] for name, file in commit["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
