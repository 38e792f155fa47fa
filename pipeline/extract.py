"""A dataset's folder to a finished cache: manifest, plan, clips over workers, shards, clips table."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import polars as pl

from data_manifest.datasets import Manifest
from pipeline import plan, shards, workers
from pipeline.clip import ExtractedClip
from pipeline.config import ExtractConfig, settings_hash
from pipeline.models import MODEL_FILES, ModelPaths
from pipeline.reuse import Reuse
from schemas import cache as layout
from schemas.cache import CacheInfo
from schemas.errors import UserError
from schemas.files import atomic_file, write_atomic
from schemas.keypoints import DLIB18

LIBRARIES = ("av", "decord2", "dlib-bin", "mediapipe", "numpy", "pillow", "polars", "pyarrow", "simplejpeg")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an extraction did: the clips table, how many of its clips were extracted by this run, and how many of
    those took their landmarks from an earlier cache."""

    clips: pl.DataFrame
    extracted: int
    reused: int


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
    on_start: Callable[[int], None] = lambda clips: None,
    on_clip: Callable[[ExtractedClip], None] = lambda clip: None,
) -> Outcome:
    """Extract every clip that the cache does not hold yet, and write its clips table.

    on_start is told how many clips there are to do, on_clip each finished one.
    Raises UserError where the cache was made with other settings or cannot be written.
    """
    info = describe_cache(manifest, config)
    prepare_cache(cache, info)
    planned = plan.plan_shards(manifest.clips)
    to_do = list(plan.shards_to_do(cache, planned, info.settings_hash))
    extracted = sum(len(shard.clip_ids) for shard in to_do)
    on_start(extracted)
    reused = 0

    def count(clip: ExtractedClip) -> None:
        nonlocal reused
        reused += clip.reused
        on_clip(clip)

    if to_do:
        results = workers.extract_clips(_tasks(to_do, source), config, models, worker_count, limits, reuse)
        _write_as_finished(cache, to_do, results, info.settings_hash, count)
    clips = finalize(cache, manifest, planned)
    return Outcome(clips=clips, extracted=extracted, reused=reused)


def describe_cache(manifest: Manifest, config: ExtractConfig) -> CacheInfo:
    """What `cache.json` will say of an extraction."""
    models = {model.name: model.sha256 for model in MODEL_FILES}
    return CacheInfo(
        dataset=manifest.dataset,
        labels=manifest.labels,
        keypoint_set=DLIB18.name,
        settings=config.as_dict(),
        settings_hash=settings_hash(config.as_dict(), models),
        landmark_hash=landmark_hash(config),
        versions={name: version(name) for name in LIBRARIES},
        models=models,
    )


def landmark_hash(config: ExtractConfig) -> str:
    """The hash that two extractions share whose boxes and landmarks are the same."""
    return settings_hash(config.landmark_settings(), {model.name: model.sha256 for model in MODEL_FILES})


def prepare_cache(cache: Path, info: CacheInfo) -> None:
    """Make the cache's folders and its `cache.json`, or check that an existing one was made alike.

    Raises UserError where it was not, where the folder holds something else, or cannot be written.
    """
    if (cache / layout.INFO_FILE).exists():
        found = layout.read_cache_info(cache)
        if found.settings_hash != info.settings_hash:
            raise UserError(f"{cache} was made with {_difference(found, info)}; give another --out")
        info = CacheInfo(**{**vars(info), "versions": found.versions})
        if found == info:
            return
    elif cache.exists() and (not cache.is_dir() or any(cache.iterdir())):
        raise UserError(f"{cache} exists and is not a landmark cache; give another --out")
    try:
        for name in (*layout.SHARD_FILES.values(), layout.COMMIT_FILE):
            (cache / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(cache / layout.INFO_FILE, info.to_json())
    except OSError as error:
        raise UserError(f"cannot write the cache {cache}: {error.strerror}; give another --out") from None


def finalize(cache: Path, manifest: Manifest, planned: Sequence[plan.Shard]) -> pl.DataFrame:
    """Join the shards' results with the manifest into `clips.parquet`, and return that table."""
    files = [cache / layout.SHARD_FILES["clips"].format(shard.index) for shard in planned]
    results = pl.concat([pl.read_parquet(file) for file in files])
    clips = manifest.clips.join(results, on="clip_id", how="left", maintain_order="left")
    clips = clips.select(layout.CLIPS_SCHEMA.names())
    target = cache / layout.CLIPS_FILE
    if not target.exists() or not pl.read_parquet(target).equals(clips):
        with atomic_file(target) as file:
            clips.write_parquet(file)
    return clips


def _tasks(to_do: Sequence[plan.Shard], source: Path) -> Iterator[workers.Task]:
    for shard in to_do:
        for place, path in enumerate(shard.paths):
            yield (shard.index, place), source / path


def _write_as_finished(
    cache: Path,
    to_do: Sequence[plan.Shard],
    results: Iterator[tuple[tuple[int, int], ExtractedClip]],
    settings: str,
    on_clip: Callable[[ExtractedClip], None],
) -> None:
    by_index = {shard.index: shard for shard in to_do}
    collected: dict[int, dict[int, ExtractedClip]] = {}
    for (index, place), clip in results:
        on_clip(clip)
        shard, done = by_index[index], collected.setdefault(index, {})
        done[place] = clip
        if len(done) == len(shard.clip_ids):
            shards.write_shard(cache, shard, [done[i] for i in range(len(done))], settings)
            del collected[index]


def _difference(found: CacheInfo, asked: CacheInfo) -> str:
    """The settings in which two caches differ, as the flags that would name them."""
    names = [name for name in asked.settings if found.settings.get(name) != asked.settings[name]]
    if not names:
        return "other model files"
    flags = (f"--{name.replace('_', '-')} {found.settings.get(name)}" for name in names)
    asks = (f"{asked.settings[name]}" for name in names)
    return f"{', '.join(flags)} (asked now: {', '.join(asks)})"


def default_workers() -> int:
    """As many workers as this process may use cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
