"""Manifest to shards: which clips go into which shard, and which shards are still to do."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dfer.schemas.cache import COMMIT_FILE
from dfer.schemas.manifest import MISSING


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A fixed run of clips in manifest order: ids, paths, sizes in bytes (None for folders), of the same length.

    missing: the places of those that were not on disk when the manifest was read.
    """

    index: int
    clip_ids: list[str]
    paths: list[str]
    sizes: list[int | None]
    missing: tuple[int, ...] = ()

    @property
    def clip_list_hash(self) -> str:
        """sha256 of all of it: a commit holds only for the clips that it was made of."""
        content = [self.clip_ids, self.paths, self.sizes]
        if self.missing:  # without any, the hash is the one that it was before there were such clips
            content.append(self.missing)
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def plan_shards(clips: pl.DataFrame, shard_clips: int) -> list[Shard]:
    """Cut a manifest table into shards of `shard_clips`; the last may hold fewer."""
    return [
        Shard(
            index=index,
            clip_ids=part["clip_id"].to_list(),
            paths=part["path"].to_list(),
            sizes=part["bytes"].to_list(),
            missing=tuple((part["kind"] == MISSING).arg_true().to_list()),
        )
        for index, part in enumerate(clips.iter_slices(shard_clips))
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
