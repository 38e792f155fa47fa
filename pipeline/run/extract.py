"""A dataset's folder to a finished cache: plan, clips over workers, shards.

What is made and checked of the cache's folder before and after is `cache_folder`'s.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import polars as pl

from dfer.data_manifest.datasets import Manifest
from dfer.pipeline.cache import plan, seal, shards
from dfer.pipeline.cache.folder import finalize, read_plan, read_results, writing
from dfer.pipeline.cache.lock import alone, at_work
from dfer.pipeline.cache.reuse import Reuse
from dfer.pipeline.config import ExtractConfig, config_of, settings_hash
from dfer.pipeline.records import ExtractedClip
from dfer.pipeline.run import workers
from dfer.pipeline.setup.models import ModelPaths, model_hashes
from dfer.schemas import cache as layout
from dfer.schemas.cache import CacheInfo
from dfer.schemas.keypoints import DLIB18
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted

LIBRARIES = ("av", "decord2", "dlib-bin", "mediapipe", "numpy", "pillow", "polars", "pyarrow", "simplejpeg")


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A fixed share of the shards, for one machine of `count`: number, number + count, …; number from 0."""

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.count:
            raise UserError(f"--slice {self.number}/{self.count}: I goes from 0 to N - 1, as in 0/4 … 3/4")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an extraction did: the clips table (None where it was one slice of several), how many clips this run
    extracted, how many of those took their landmarks from an earlier cache (None: not known), and whether the tables
    of a finished cache say something else now, such as other labels."""

    clips: pl.DataFrame | None
    extracted: int
    reused: int | None
    updated: bool = False


def extract(
    manifest: Manifest,
    source: Path,
    cache: Path,
    config: ExtractConfig,
    models: ModelPaths,
    *,
    worker_count: int,
    limits: workers.Limits,
    reuse: Reuse | None = None,
    part: Slice | None = None,
    retry: bool = False,
    on_start: Callable[[int], None] = lambda clips: None,
    on_clip: Callable[[ExtractedClip], None] = lambda clip: None,
) -> Outcome:
    """Extract every clip that the cache does not hold yet, and write its clips table.

    retry: make the shards again that hold quarantined or undecodable clips.
    part: only these shards, and no clips table; `join_slices` makes that when all are done.
    on_start is told how many clips there are to do, on_clip each finished one.
    Raises UserError where the cache was made with other settings, cannot be written, or another extraction is at
    work on it.
    """
    sealed = seal.read_seal(cache)
    with begun(manifest, cache, config, among_slices=part is not None) as (info, planned):
        mine = planned if part is None else planned[part.number :: part.count]
        to_do = _shards_to_do(cache, mine, info.settings_hash, retry)
        extracted = sum(len(shard.clip_ids) for shard in to_do)
        on_start(extracted)
        reused = 0

        def count(clip: ExtractedClip) -> None:
            nonlocal reused
            reused += clip.reused
            on_clip(clip)

        if to_do:
            results = _results(to_do, source, config, models, worker_count, limits, reuse)
            with closing(results):  # which ends the workers, whatever happens
                write_as_finished(cache, to_do, results, info.settings_hash, count)
        clips = finalize(cache, manifest, planned) if part is None else None
    updated = sealed is not None and seal.read_seal(cache) != sealed
    return Outcome(clips=clips, extracted=extracted, reused=reused, updated=updated)


@contextmanager
def begun(
    manifest: Manifest, cache: Path, config: ExtractConfig, *, among_slices: bool = False
) -> Iterator[tuple[CacheInfo, list[plan.Shard]]]:
    """Prepare a cache for an extraction that lasts as long as the block: what it is made of, and all its shards.

    among_slices: other slices may be at work beside this one.
    Raises UserError where the cache was made otherwise, cannot be written, or another extraction is at work.
    """
    info = describe_cache(manifest, config)
    with at_work(cache, info, manifest.clips, among_slices=among_slices):
        yield info, plan.plan_shards(manifest.clips, config.shard_clips)


def extract_shard(
    cache: Path, source: Path, index: int, models: ModelPaths, limits: workers.Limits, reuse: Reuse | None
) -> None:
    """Extract one shard of a cache that was begun elsewhere, with one worker, unless it is committed already.

    Raises UserError where the cache was begun with other models or settings than this program has.
    """
    info, manifest = read_plan(cache)
    config = config_of(cache, info)
    if describe_cache(manifest, config).settings_hash != info.settings_hash:
        raise UserError(f"{cache} was begun with other models or another version: use one version everywhere")
    planned = plan.plan_shards(manifest.clips, config.shard_clips)
    if not 0 <= index < len(planned):
        raise UserError(f"{cache} has no shard {index}: it has {len(planned)}")
    to_do = list(plan.shards_to_do(cache, [planned[index]], info.settings_hash))
    if to_do:
        results = _results(to_do, source, config, models, 1, limits, reuse)
        with closing(results):
            write_as_finished(cache, to_do, results, info.settings_hash)


def describe_cache(manifest: Manifest, config: ExtractConfig) -> CacheInfo:
    """What `cache.json` will say of an extraction."""
    return CacheInfo(
        dataset=manifest.dataset,
        labels=manifest.labels,
        keypoint_set=DLIB18.name,
        settings=config.as_dict(),
        settings_hash=settings_hash(config.as_dict(), model_hashes()),
        landmark_hash=landmark_hash(config),
        versions={name: version(name) for name in LIBRARIES},
        models=model_hashes(),
    )


def landmark_hash(config: ExtractConfig) -> str:
    """The hash that two extractions share whose boxes and landmarks are the same."""
    return settings_hash(config.landmark_settings(), model_hashes())


def join_slices(cache: Path) -> pl.DataFrame:
    """Finish a cache whose slices are all done: `clips.parquet` and the seal; the clips table.

    Raises UserError where shards are missing, slices are still at work, the cache is damaged or cannot be written.
    """
    with alone(cache):
        info, manifest = read_plan(cache)
        planned = plan.plan_shards(manifest.clips, config_of(cache, info).shard_clips)
        missing = sum(1 for _ in plan.shards_to_do(cache, planned, info.settings_hash))
        if missing:
            raise UserError(
                f"{cache}: {missing} of {counted(len(planned), 'shard')} not done; run their slices first"
            )
        return finalize(cache, manifest, planned)


def write_as_finished(
    cache: Path,
    to_do: Sequence[plan.Shard],
    results: Iterator[tuple[workers.Key, ExtractedClip]],
    settings: str,
    on_clip: Callable[[ExtractedClip], None] = lambda clip: None,
) -> None:
    """Write and commit each shard as soon as its last clip is there; `results` may come in any order.

    Raises UserError where the cache cannot be written; what is committed stays.
    """
    by_index = {shard.index: shard for shard in to_do}
    collected: dict[int, dict[int, ExtractedClip]] = {}
    with writing(cache):
        seal.remove_seal(cache)
    for (index, place), clip in results:
        on_clip(clip)
        shard, done = by_index[index], collected.setdefault(index, {})
        done[place] = clip
        if len(done) == len(shard.clip_ids):
            with writing(cache):
                shards.write_shard(cache, shard, [done[i] for i in range(len(done))], settings, DLIB18.count)
            del collected[index]


def _results(
    to_do: Sequence[plan.Shard],
    source: Path,
    config: ExtractConfig,
    models: ModelPaths,
    worker_count: int,
    limits: workers.Limits,
    reuse: Reuse | None,
) -> Iterator[tuple[workers.Key, ExtractedClip]]:
    """Every clip of these shards: those that are not on disk at once, the others as the workers finish them."""
    for shard in to_do:
        for place in shard.missing:
            path = shard.paths[place]
            there = (source / path).exists()
            reason = f"no kind of file that is read: {path}" if there else f"listed but not on disk: {path}"
            yield (shard.index, place), ExtractedClip(status=layout.UNDECODABLE, reason=reason)
    there = sum(len(shard.paths) - len(shard.missing) for shard in to_do)
    if there:
        tasks = _tasks(to_do, source)
        count = min(worker_count, there)
        with closing(workers.extract_clips(tasks, config, models, count, limits, reuse)) as extracted:
            yield from extracted


def _tasks(to_do: Sequence[plan.Shard], source: Path) -> Iterator[workers.Task]:
    for shard in to_do:
        missing = set(shard.missing)
        for place, path in enumerate(shard.paths):
            if place not in missing:
                yield (shard.index, place), source / path


def _shards_to_do(cache: Path, mine: list[plan.Shard], settings: str, retry: bool) -> list[plan.Shard]:
    """Those that are not committed; with `retry` also those that hold clips which could not be read."""
    undone = list(plan.shards_to_do(cache, mine, settings))
    if not retry:
        return undone
    indices = {shard.index for shard in undone}
    again = _with_unread(cache, [shard for shard in mine if shard.index not in indices])
    return sorted([*undone, *again], key=lambda shard: shard.index)


def _with_unread(cache: Path, committed: Sequence[plan.Shard]) -> list[plan.Shard]:
    statuses = ((shard, read_results(cache, shard.index)["status"]) for shard in committed)
    unread = [layout.QUARANTINED, layout.UNDECODABLE]
    return [shard for shard, status in statuses if status.is_in(unread).any()]
