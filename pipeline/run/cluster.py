"""Shards as tasks on a Dask cluster. Each task runs `pipeline shard` in a process of its own.

Dask's workers are daemonic, so they cannot have worker processes, and a clip that kills its process would kill them.
The subprocess has the same workers, limits and quarantine as a local extraction. If a Dask worker is lost, Dask gives
its shard to another one. All machines must see the same files.
"""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dfer.pipeline.config import RunOptions
from dfer.schemas.support.dask_client import connect
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.settings import flag

RETRIES = 2  # of a shard whose subprocess was killed; Dask itself retries the shards of lost workers


def run_on_cluster(
    cache: Path, source: Path, sizes: Mapping[int, int], options: RunOptions, on_shard: Callable[[int], None]
) -> None:
    """Extract shards of a prepared cache on the cluster of `options.dask`.

    source: the folder that the clips' paths are relative to
    sizes: shard → number of clips
    on_shard: called with the number of clips of each finished shard

    Raises UserError if there is no scheduler or a shard fails.
    """
    if not sizes:
        return
    with connect(options.dask) as client:
        from distributed import as_completed
        from distributed.scheduler import KilledWorker

        flags = _shard_flags(options)
        futures = {}
        for index in sizes:
            arguments = [str(cache.resolve()), str(source.resolve()), str(index), *flags]
            key = f"dfer-shard-{index}"
            futures[client.submit(run_shard, arguments, key=key, pure=False, retries=RETRIES)] = index
        for future in as_completed(futures):
            index = futures[future]
            try:
                problem = future.result()
            except KilledWorker:
                problem = "every Dask worker that took it was lost"
            if problem:
                raise UserError(f"shard {index} failed on the cluster: {problem}")
            on_shard(sizes[index])


def run_shard(arguments: Sequence[str]) -> str:
    """Run `pipeline shard` in a subprocess of the Dask worker. Returns the error in one line, empty if there is none.

    Raises RuntimeError if the subprocess was killed, so that Dask tries it again.
    """
    command = [sys.executable, "-P", "-m", "dfer.pipeline", "shard", *arguments]
    outcome = subprocess.run(command, capture_output=True, text=True)
    if outcome.returncode < 0:
        raise RuntimeError("the process of the shard was killed")
    return (outcome.stderr.strip().splitlines() or ["no reason given"])[-1] if outcome.returncode else ""


def _shard_flags(options: RunOptions) -> list[str]:
    """The options that a shard needs, as flags of `pipeline shard`."""
    folders = [("--models", options.models_folder)] if options.models_folder else []
    folders += [("--reuse", folder) for folder in options.reuse]
    paths = [part for name, folder in folders for part in (name, str(folder.resolve()))]
    limits = ("clip_timeout", "loading_timeout", "worker_memory")
    return [*paths, *(part for name in limits for part in (flag(name), str(getattr(options, name))))]
