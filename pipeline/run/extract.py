"""`pipeline extract`: a dataset's manifest to a finished cache, on this machine or on a Dask cluster."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dfer.data_manifest.datasets import Manifest
from dfer.pipeline.cache import plan, seal
from dfer.pipeline.cache.folder import finish_cache, read_results
from dfer.pipeline.cache.info import make_info
from dfer.pipeline.cache.lock import extraction_lock
from dfer.pipeline.config import ExtractConfig, RunOptions
from dfer.pipeline.records import ExtractedClip
from dfer.pipeline.run.build import build_shards, make_extractor
from dfer.pipeline.run.cluster import run_on_cluster
from dfer.schemas.cache import OK, QUARANTINED, UNDECODABLE, CacheInfo
from dfer.schemas.keypoints import DLIB18, KeypointSet
from dfer.schemas.manifest import MISSING
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of an extraction.

    clips: the clips table; None after one slice of several
    extracted: number of clips that this run extracted
    reused: how many of those took their landmarks from an earlier cache; None if unknown
    updated: whether a finished cache got other tables, such as other labels
    """

    clips: pl.DataFrame | None
    extracted: int
    reused: int | None
    updated: bool = False

    @property
    def all_usable(self) -> bool:
        """Whether every clip is usable, as far as is known: after a slice it is not."""
        return self.clips is None or bool((self.clips["status"] == OK).all())


def extract(
    manifest: Manifest,
    cache: Path,
    config: ExtractConfig,
    options: RunOptions,
    *,
    keypoints: KeypointSet = DLIB18,
    on_start: Callable[[int], None] = lambda clips: None,
    on_done: Callable[[int, int], None] = lambda clips, unusable: None,
) -> Outcome:
    """Extract every clip that is not in the cache yet, and write the clips table.

    After one slice there is no clips table; `run.finalize` writes it when all slices are done.

    keypoints: one of `schemas.keypoints.KEYPOINT_SETS`
    on_start: called with the number of clips to extract
    on_done: called with the number of clips just finished and how many of them are unusable

    Raises UserError if no clip is on disk, if the cache was made with other settings, cannot be written or is in
    use, or if this machine cannot extract.
    """
    _require_clips(manifest)
    if config.people > 1:
        _refuse_ids_of_people(manifest.clips["clip_id"])
    # Before the cache is made; on a cluster only the workers need the models.
    extractor = None if options.dask else make_extractor(config, keypoints, options)
    sealed = seal.read_seal(cache)
    reused = 0

    def count(clip: ExtractedClip) -> None:
        nonlocal reused
        reused += clip.reused
        on_done(1, int(clip.status != OK))

    part = options.slice
    with prepared_cache(manifest, cache, config, keypoints, among_slices=bool(part)) as (info, planned):
        mine = planned[part.number :: part.count] if part else planned
        to_do = _shards_to_do(cache, mine, info.settings_hash, options.retry)
        sizes = {shard.index: len(shard.clip_ids) for shard in to_do}
        on_start(sum(sizes.values()))
        if extractor:
            build_shards(cache, manifest.root, to_do, info, extractor, options, count)
        else:
            run_on_cluster(cache, manifest.root, sizes, options, lambda clips: on_done(clips, 0))
        clips = None if part else finish_cache(cache, manifest, planned)
    return Outcome(
        clips=clips,
        extracted=sum(sizes.values()),
        reused=reused if extractor else None,
        updated=sealed is not None and seal.read_seal(cache) != sealed,
    )


@contextmanager
def prepared_cache(
    manifest: Manifest,
    cache: Path,
    config: ExtractConfig,
    keypoints: KeypointSet,
    *,
    among_slices: bool = False,
) -> Iterator[tuple[CacheInfo, list[plan.Shard]]]:
    """Prepare a cache and lock it until the block ends. Yields the content of `cache.json`, and all shards.

    among_slices: let other slices of the same extraction run at the same time

    Raises UserError if the cache was made with other settings, cannot be written or is in use.
    """
    info = make_info(manifest, config, keypoints)
    with extraction_lock(cache, info, manifest.clips, among_slices=among_slices):
        yield info, plan.plan_shards(manifest.clips, config.shard_clips)


def _require_clips(manifest: Manifest) -> None:
    """Raise UserError if none of the clips is on disk: then the folder is wrong, not every clip missing."""
    clips = manifest.clips
    if (clips["kind"] == MISSING).all():
        raise UserError(
            f"{manifest.root}: none of the {counted(len(clips), 'clip')} in its lists is on disk; the first "
            f"should be {manifest.root / clips['path'][0]}: unpack the clips there, fix the start of the paths "
            "in the lists, or give the folder above both"
        )


def _refuse_ids_of_people(ids: pl.Series) -> None:
    """Raise UserError if the id of a clip is what a further person in another clip may be called."""
    of_clip = ids.str.extract(r"^(.*)#[0-9]+$", 1)
    taken = ids.filter(of_clip.is_in(ids.implode()).fill_null(False))
    if len(taken):
        raise UserError(
            f"clip {taken[0]}: a further person in clip {taken[0].rpartition('#')[0]} may get this id; rename it, or "
            "extract it without --people"
        )


def _shards_to_do(
    cache: Path, shards: Sequence[plan.Shard], settings_hash: str, retry: bool
) -> list[plan.Shard]:
    """The shards without a valid commit, and for a retry those with clips that could not be read."""
    undone = list(plan.shards_to_do(cache, shards, settings_hash))
    if not retry:
        return undone
    indices = {shard.index for shard in undone}
    unread = [QUARANTINED, UNDECODABLE]
    return [
        shard
        for shard in shards
        if shard.index in indices or read_results(cache, shard.index)["status"].is_in(unread).any()
    ]
