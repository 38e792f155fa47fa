"""Shards from clips: the clips extracted by workers, each shard written as soon as its last clip is done."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from dfer.pipeline.cache import seal, shard_files
from dfer.pipeline.cache.folder import writing
from dfer.pipeline.cache.info import landmark_hash
from dfer.pipeline.cache.plan import Shard
from dfer.pipeline.cache.reuse import open_reuse
from dfer.pipeline.config import ExtractConfig, RunOptions
from dfer.pipeline.records import ExtractedClip
from dfer.pipeline.run import workers
from dfer.pipeline.setup.models import obtain_all
from dfer.pipeline.video.not_videos import describe_other_content
from dfer.pipeline.video.sources import NOT_ON_DISK, UNKNOWN_TYPE
from dfer.schemas import cache as layout
from dfer.schemas.cache import CacheInfo
from dfer.schemas.keypoints import KeypointSet
from dfer.schemas.support.processes import available_cores, require_locks

STILLS_TOGETHER = 16


def _ignore(_clip: ExtractedClip) -> None:
    pass


def make_extractor(config: ExtractConfig, keypoints: KeypointSet, options: RunOptions) -> workers.Extractor:
    """Check the model files, the caches to reuse, and that this machine can run the workers. Raises UserError."""
    require_locks(options.workers or available_cores())
    return workers.Extractor(
        config=config,
        models=obtain_all(options.models_folder),
        keypoints=keypoints,
        reuse=open_reuse(options.reuse, landmark_hash(config)),
    )


def build_shards(
    cache: Path,
    source: Path,
    to_do: Sequence[Shard],
    info: CacheInfo,
    extractor: workers.Extractor,
    options: RunOptions,
    on_clip: Callable[[ExtractedClip], None] = _ignore,
) -> None:
    """Extract the clips of some shards with worker processes, and write and commit the shards.

    source: the folder that the clips' paths are relative to
    info: content of the cache's `cache.json`
    options: number and limits of the workers
    on_clip: called with each finished clip

    Raises UserError if the cache cannot be written or the machine cannot extract.
    """
    if to_do:
        with closing(_results(to_do, source, extractor, options)) as results:  # ends the workers
            write_shards(cache, to_do, results, info, on_clip)


def write_shards(
    cache: Path,
    to_do: Sequence[Shard],
    results: Iterator[tuple[workers.Key, ExtractedClip]],
    info: CacheInfo,
    on_clip: Callable[[ExtractedClip], None] = _ignore,
) -> None:
    """Write and commit each shard as soon as its last clip is done.

    results: all clips of the shards, in any order
    info: content of the cache's `cache.json`
    on_clip: called with each finished clip

    Raises UserError if the cache cannot be written; committed shards stay.
    """
    by_index = {shard.index: shard for shard in to_do}
    collected: dict[int, dict[int, ExtractedClip]] = {}
    with writing(cache):
        seal.remove_seal(cache)
    for (index, position), clip in results:
        on_clip(clip)
        shard, done = by_index[index], collected.setdefault(index, {})
        done[position] = clip
        if len(done) == len(shard.clip_ids):
            clips = [done[i] for i in range(len(done))]
            with writing(cache):
                shard_files.write_shard(cache, shard, clips, info)
            del collected[index]


def _results(
    to_do: Sequence[Shard], source: Path, extractor: workers.Extractor, options: RunOptions
) -> Iterator[tuple[workers.Key, ExtractedClip]]:
    """All clips of these shards: first those that are not on disk, then the others as the workers finish them."""
    for shard in to_do:
        for position in shard.missing:
            path = shard.paths[position]
            exists = (source / path).exists()
            reason = _what_it_is(source / path, path) if exists else f"{NOT_ON_DISK}: {path}"
            yield (shard.index, position), ExtractedClip(status=layout.UNDECODABLE, reason=reason)
    on_disk = sum(len(shard.paths) - len(shard.missing) for shard in to_do)
    if on_disk:
        count = min(options.workers or available_cores(), on_disk)
        batches = _batches(to_do, source)
        with closing(workers.extract_clips(batches, extractor, count, options)) as extracted:
            yield from extracted


def _what_it_is(file: Path, path: str) -> str:
    """Why a listed file, which has no video's suffix, is not read."""
    try:
        known = describe_other_content(file) if file.is_file() else ""
        return known or f"{UNKNOWN_TYPE}: {path}"
    except OSError as error:
        return f"the file cannot be read: {error.strerror}"


def _batches(to_do: Sequence[Shard], source: Path) -> Iterator[workers.Batch]:
    """The clips on disk of these shards: each alone, but stills, which take milliseconds, several together."""
    source = source.absolute()  # FFmpeg takes the start of a relative path such as 10:30/a.mp4 for a protocol
    for shard in to_do:
        absent, stills = set(shard.missing), set(shard.stills)
        tasks = [((shard.index, i), source / path) for i, path in enumerate(shard.paths)]
        yield from ([task] for i, task in enumerate(tasks) if i not in absent | stills)
        together = [tasks[i] for i in shard.stills]
        yield from (together[i : i + STILLS_TOGETHER] for i in range(0, len(together), STILLS_TOGETHER))
