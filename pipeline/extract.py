"""A dataset's folder to a finished cache: manifest, plan, clips over workers, shards, clips table."""

import errno
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import polars as pl

from data_manifest.datasets import Manifest
from pipeline import plan, seal, shards, workers
from pipeline.clip import ExtractedClip
from pipeline.config import ExtractConfig, settings_hash
from pipeline.models import ModelPaths, model_hashes
from pipeline.reuse import Reuse
from schemas import cache as layout
from schemas.cache import CacheInfo
from schemas.errors import UserError
from schemas.files import file_sha256, remove_durably, temporary_name, write_atomic
from schemas.keypoints import DLIB18
from schemas.manifest import MANIFEST_SCHEMA, with_added_columns

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
    extracted, and how many of those took their landmarks from an earlier cache (None: not known)."""

    clips: pl.DataFrame | None
    extracted: int
    reused: int | None


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

    retry: make the shards again that hold quarantined clips.
    part: only these shards, and no clips table; `join_slices` makes that when all are done.
    on_start is told how many clips there are to do, on_clip each finished one.
    Raises UserError where the cache was made with other settings or cannot be written.
    """
    info, planned = begin(manifest, cache, config)
    mine = planned if part is None else planned[part.number :: part.count]
    to_do = list(plan.shards_to_do(cache, mine, info.settings_hash))
    if retry:
        undone = {shard.index for shard in to_do}
        again = _with_quarantined(cache, [shard for shard in mine if shard.index not in undone])
        to_do = sorted([*to_do, *again], key=lambda shard: shard.index)
    extracted = sum(len(shard.clip_ids) for shard in to_do)
    on_start(extracted)
    reused = 0

    def count(clip: ExtractedClip) -> None:
        nonlocal reused
        reused += clip.reused
        on_clip(clip)

    if to_do:
        results = _results(to_do, source, config, models, worker_count, limits, reuse)
        with _alone(cache, part), closing(results):  # which ends the workers, whatever happens
            write_as_finished(cache, to_do, results, info.settings_hash, count)
    clips = finalize(cache, manifest, planned) if part is None else None
    return Outcome(clips=clips, extracted=extracted, reused=reused)


def begin(manifest: Manifest, cache: Path, config: ExtractConfig) -> tuple[CacheInfo, list[plan.Shard]]:
    """Prepare a cache for an extraction: what it is made of, and all its shards. Raises UserError."""
    info = describe_cache(manifest, config)
    prepare_cache(cache, info, manifest.clips)
    return info, plan.plan_shards(manifest.clips, config.shard_clips)


def extract_shard(
    cache: Path, source: Path, index: int, models: ModelPaths, limits: workers.Limits, reuse: Reuse | None
) -> None:
    """Extract one shard of a cache that was begun elsewhere, with one worker, unless it is committed already.

    Raises UserError where the cache was begun with other models or settings than this program has.
    """
    info, manifest = read_plan(cache)
    try:
        config = ExtractConfig(**info.settings)
    except TypeError:
        raise UserError(f"{cache} has settings that this version does not know: use one version") from None
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


def prepare_cache(cache: Path, info: CacheInfo, clips: pl.DataFrame) -> None:
    """Make the cache's folders, `cache.json` and `manifest.parquet`, or check that an existing one was made alike.

    Raises UserError where it was not, where the folder holds something else, or cannot be written.
    """
    found = None
    if (cache / layout.INFO_FILE).exists():
        found = layout.read_cache_info(cache)
        if found.settings_hash != info.settings_hash:
            raise UserError(f"{cache} was made with {_difference(found, info)}; give another --out")
        info = CacheInfo(**{**vars(info), "versions": found.versions})
        if (cache / layout.MANIFEST_FILE).exists():
            _refuse_other_clips(cache, clips)
    elif cache.exists() and not _is_empty(cache):
        raise UserError(f"{cache} exists and is not a landmark cache; give another --out")
    with _writing(cache):
        for name in (*layout.SHARD_FILES.values(), layout.COMMIT_FILE):
            (cache / name).parent.mkdir(parents=True, exist_ok=True)
        if found != info:
            seal.remove_seal(cache)
            write_atomic(cache / layout.INFO_FILE, info.to_json())
        _write_table(cache, layout.MANIFEST_FILE, clips)


def join_slices(cache: Path) -> pl.DataFrame:
    """Finish a cache whose slices are all done: `clips.parquet` and the seal; the clips table.

    Raises UserError where shards are missing, the cache is damaged or cannot be written.
    """
    info, manifest = read_plan(cache)
    planned = plan.plan_shards(manifest.clips, info.settings["shard_clips"])
    missing = sum(1 for _ in plan.shards_to_do(cache, planned, info.settings_hash))
    if missing:
        raise UserError(f"{cache}: {missing} of {len(planned)} shards are not done; run their slices first")
    return finalize(cache, manifest, planned)


def read_plan(cache: Path) -> tuple[CacheInfo, Manifest]:
    """What a cache, finished or not, is made of. Raises UserError where it is damaged."""
    info = layout.read_cache_info(cache)
    path = cache / layout.MANIFEST_FILE
    try:
        clips = with_added_columns(pl.read_parquet(path, glob=False))
        clips = clips.select(MANIFEST_SCHEMA.names()).cast(MANIFEST_SCHEMA)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(
            f"{path} is missing or damaged ({type(error).__name__}); run `extract` again"
        ) from None
    return info, Manifest(dataset=info.dataset, labels=info.labels, clips=clips)


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
    with _writing(cache):
        seal.remove_seal(cache)
    for (index, place), clip in results:
        on_clip(clip)
        shard, done = by_index[index], collected.setdefault(index, {})
        done[place] = clip
        if len(done) == len(shard.clip_ids):
            with _writing(cache):
                shards.write_shard(cache, shard, [done[i] for i in range(len(done))], settings)
            del collected[index]


def finalize(cache: Path, manifest: Manifest, planned: Sequence[plan.Shard]) -> pl.DataFrame:
    """Join the shards' results with the manifest into `clips.parquet`, seal the cache, return that table.

    What a killed run or a longer manifest has left behind is removed. A finished cache is left as it is.
    Raises UserError where a shard's table is damaged or the cache cannot be written.
    """
    results = pl.concat([_read_results(cache, shard.index) for shard in planned])
    clips = manifest.clips.join(results, on="clip_id", how="left", maintain_order="left")
    clips = clips.select(layout.CLIPS_SCHEMA.names())
    with _writing(cache):
        leftovers = shards.leftovers(cache, len(planned))
        if leftovers:
            seal.remove_seal(cache)
            for path in leftovers:
                remove_durably(path)
        _write_table(cache, layout.CLIPS_FILE, clips)
        if seal.read_seal(cache) is None:
            seal.write_seal(cache, len(planned))
    return clips


def _write_table(cache: Path, name: str, table: pl.DataFrame) -> None:
    """Write one of the cache's own tables, and break its seal, unless the file says so already."""
    content = io.BytesIO()
    table.write_parquet(content)
    target = cache / name
    if not target.exists() or target.read_bytes() != content.getvalue():
        seal.remove_seal(cache)
        write_atomic(target, content.getvalue())


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
            reason = f"listed but not on disk: {shard.paths[place]}"
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


def _with_quarantined(cache: Path, committed: Sequence[plan.Shard]) -> list[plan.Shard]:
    statuses = ((shard, _read_results(cache, shard.index)["status"]) for shard in committed)
    return [shard for shard, status in statuses if layout.QUARANTINED in status]


def _refuse_other_clips(cache: Path, clips: pl.DataFrame) -> None:
    """A cache whose clips are all others than those asked for now is somebody's, not an older state of this one."""
    _, manifest = read_plan(cache)
    if len(manifest.clips) and not manifest.clips["clip_id"].is_in(clips["clip_id"].implode()).any():
        raise UserError(f"{cache} was made from other clips; give another --out")


def _is_empty(cache: Path) -> bool:
    """Whether a folder holds nothing, or only what a run leaves that was killed before its `cache.json`."""
    own = {(cache / name).parent for name in (*layout.SHARD_FILES.values(), layout.COMMIT_FILE)}
    begun = temporary_name(cache / layout.INFO_FILE)
    return cache.is_dir() and all(
        path == begun or (path in own and path.is_dir() and not any(path.iterdir()))
        for path in cache.iterdir()
    )


def _read_results(cache: Path, index: int) -> pl.DataFrame:
    path = cache / layout.SHARD_FILES["clips"].format(index)
    commit = cache / layout.COMMIT_FILE.format(index)
    try:
        committed = json.loads(commit.read_bytes())["files"][str(path.relative_to(cache))]
        if file_sha256(path) != committed["sha256"]:
            raise ValueError
        return pl.read_parquet(path, glob=False).select(layout.RESULTS_SCHEMA.names())
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        raise UserError(f"{path} is damaged; remove {commit} and run again to make this shard anew") from None


@contextmanager
def _alone(cache: Path, part: Slice | None) -> Iterator[None]:
    """Keep a second extraction out of the cache, or let other slices, and only them, work beside this one.

    The lock is on the folder itself and goes with the process. Where the file system has no locks, there is none.
    Raises UserError where another extraction is at work.
    """
    import fcntl

    folder = os.open(cache, os.O_RDONLY)
    try:
        fcntl.flock(folder, (fcntl.LOCK_EX if part is None else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        raise UserError(
            f"{cache}: another extraction is at work on it; wait, or give another --out"
        ) from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
            raise
    try:
        yield
    finally:
        os.close(folder)


@contextmanager
def _writing(cache: Path) -> Iterator[None]:
    """Say of a failure to write what it means for the cache. Raises UserError in place of OSError."""
    try:
        yield
    except OSError as error:
        advice = "give another --out"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            advice = "make room and run the same command again, finished shards are kept"
        raise UserError(f"cannot write the cache {cache}: {error.strerror}; {advice}") from None


def _difference(found: CacheInfo, asked: CacheInfo) -> str:
    """The settings in which two caches differ, as the flags that would name them."""
    names = [name for name in asked.settings if found.settings.get(name) != asked.settings[name]]
    if not names:
        return "other model files"
    flags = (f"--{name.replace('_', '-')} {found.settings.get(name)}" for name in names)
    asks = (f"{asked.settings[name]}" for name in names)
    return f"{', '.join(flags)} (asked now: {', '.join(asks)})"
