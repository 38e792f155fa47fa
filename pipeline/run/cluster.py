"""Shards as futures on a Dask cluster. Each runs as `pipeline shard` in a process of its own.

Dask's workers are daemonic: they may have no worker processes of their own, and a clip that kills its process
would kill them. So a task is a subprocess with the same workers, limits and quarantine as a local extraction. A
Dask worker that is lost takes its shard back to the queue; all machines must see the same files.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dfer.schemas.support.errors import UserError

RETRIES = 2  # of a shard whose subprocess fails; lost Dask workers are Dask's own to retry


def run_on_cluster(
    address: str,
    cache: Path,
    source: Path,
    shards: Sequence[tuple[int, int]],
    options: Sequence[str],
    on_shard: Callable[[int], None],
) -> None:
    """Extract shards (index, number of clips) of a prepared cache; on_shard is told the clips of each done one.

    options: of `pipeline shard`, passed on as they are.
    Raises UserError where there is no scheduler, or a shard cannot be done.
    """
    try:
        from distributed import Client, as_completed
        from distributed.scheduler import KilledWorker
    except ImportError:
        raise UserError("--dask needs the extra: pip install 'dfer-keypoints[dask]'") from None
    if not address.startswith(("tcp://", "tls://", "ws://", "wss://")):
        raise UserError(f"--dask {address}: an address looks like tcp://10.0.0.1:8786")
    try:
        client = Client(address, timeout=20)
    except (OSError, TimeoutError, ValueError) as error:
        raise UserError(f"--dask {address}: no scheduler answers ({type(error).__name__})") from None
    with client:
        places = str(cache.resolve()), str(source.resolve())
        futures = {
            client.submit(
                run_shard,
                *places,
                index,
                list(options),
                key=f"dfer-shard-{index}",
                pure=False,
                retries=RETRIES,
            ): (index, clips)
            for index, clips in shards
        }
        for future in as_completed(futures):
            index, clips = futures[future]
            try:
                problem = future.result()
            except KilledWorker:
                problem = "every Dask worker that took it was lost"
            if problem:
                raise UserError(f"shard {index} failed on the cluster: {problem}")
            on_shard(clips)


def run_shard(cache: str, source: str, index: int, options: Sequence[str]) -> str:
    """Run one shard's extraction to its end, in a subprocess of the Dask worker; what went wrong, in one line.

    Raises RuntimeError where the subprocess was killed, so that Dask tries it again.
    """
    command = [sys.executable, "-P", "-m", "dfer.pipeline", "shard", cache, source, str(index), *options]
    outcome = subprocess.run(command, capture_output=True, text=True)
    if outcome.returncode < 0:
        raise RuntimeError(f"the process of shard {index} was killed")
    return (outcome.stderr.strip().splitlines() or ["no reason given"])[-1] if outcome.returncode else ""
