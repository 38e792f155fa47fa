"""A cache without its pictures: what may be passed on where faces may not, enough to make the same crops again."""

import shutil
from pathlib import Path

from dfer.schemas import cache as layout
from dfer.schemas.read_cache import read_cache_info, read_clips
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import atomic_file

SHARED_TABLES = ("clips", "landmarks")


def share(cache: Path, out: Path) -> int:
    """Copy a finished cache's tables to `out`, without its face shards; the number of clips.

    `extract --reuse OUT` takes the landmarks from there, matched by the content of the receiver's own videos.
    cache.json is written last, so that a copy that was stopped is no cache.
    Raises UserError where the cache is unfinished or damaged, or `out` cannot be written.
    """
    read_cache_info(cache)
    clips = read_clips(cache)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not empty; give another OUT")
    shards = range((clips["shard"].max() or 0) + 1)
    names = [layout.SHARD_FILES[kind].format(shard) for kind in SHARED_TABLES for shard in shards]
    try:
        for name in (*names, layout.CLIPS_FILE, layout.INFO_FILE):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            with (cache / name).open("rb") as source, atomic_file(out / name) as target:
                shutil.copyfileobj(source, target)
    except OSError as error:
        raise UserError(f"cannot share {cache}: {error.strerror}: {error.filename}") from None
    return len(clips)
