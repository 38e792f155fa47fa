"""`pipeline share`: a cache without its faces, for others who have the same videos."""

import shutil
from pathlib import Path

from dfer.schemas import cache as layout
from dfer.schemas.read_cache import read_cache_info, read_clips
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import atomic_file

SHARED_TABLES = ("clips", "landmarks")


def share(cache: Path, out: Path) -> int:
    """Copy the tables of a finished cache to `out`, without its face shards. Returns the number of clips.

    `extract --reuse OUT` takes the landmarks from there and finds them by the content of the user's own videos.
    Raises UserError if the cache is unfinished or damaged, or if `out` cannot be written.
    """
    read_cache_info(cache)
    clips = read_clips(cache)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not empty; choose another OUT")
    shards = range((clips["shard"].max() or 0) + 1)
    names = [layout.SHARD_FILES[kind].format(shard) for kind in SHARED_TABLES for shard in shards]
    try:
        for name in (
            *names,
            layout.CLIPS_FILE,
            layout.INFO_FILE,
        ):  # cache.json last: a partial copy is not a cache
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            with (cache / name).open("rb") as source, atomic_file(out / name) as target:
                shutil.copyfileobj(source, target)
    except OSError as error:
        raise UserError(f"cannot share {cache}: {error.strerror}: {error.filename}") from None
    return len(clips)
