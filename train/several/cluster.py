"""Runs as tasks on a Dask cluster. Each task trains one run by `train job` in a process of its own.

Dask's workers are daemonic and busy with the scheduler, and a training wants the main thread for signals. If a worker
is lost, its run ends with it, and Dask gives it to another worker, which continues from the last checkpoint. All
machines must see the same files.
"""

import json
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dfer.schemas.support.dask_client import connect
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.processes import stop_request
from dfer.schemas.support.text import counted
from dfer.train.config import config_from
from dfer.train.data.splits import SplitChoice
from dfer.train.engine.distributed import World
from dfer.train.engine.experiment import Experiment, RunOptions
from dfer.train.engine.weights import Start

if TYPE_CHECKING:
    from distributed import Client, Future

POLL_SECONDS = 1
WAIT_SECONDS = 0.2  # between two looks at the runs
RETRIES = 2  # of a run whose process was killed; Dask itself retries the runs of lost workers
GPU = "GPU"  # a resource that workers name with `dask worker --resources GPU=1`


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run to train. folders: of the caches; out: the run's folder."""

    folders: tuple[Path, ...]
    out: Path
    experiment: Experiment

    def as_json(self, options: RunOptions) -> str:
        """Describe the job for `job_from`, with absolute paths."""
        start = {name: path and str(path.resolve()) for name, path in asdict(self.experiment.start).items()}
        return json.dumps(
            {
                "folders": [str(folder.resolve()) for folder in self.folders],
                "out": str(self.out.resolve()),
                "settings": self.experiment.config.to_toml(),
                "split": self.experiment.split.as_dict(),
                "start": start,
                "options": asdict(replace(options, dask=None)),
            }
        )


def job_from(text: str) -> tuple[Job, RunOptions]:
    """Read what `Job.as_json` wrote."""
    content = json.loads(text)
    start = Start(**{name: path and Path(path) for name, path in content["start"].items()})
    experiment = Experiment(
        config=config_from(tomllib.loads(content["settings"]), {}, origin="the job"),
        split=SplitChoice.from_dict(content["split"]),
        start=start,
    )
    folders = tuple(map(Path, content["folders"]))
    return Job(folders=folders, out=Path(content["out"]), experiment=experiment), RunOptions(
        **content["options"]
    )


def train_on_cluster(
    jobs: Sequence[Job], options: RunOptions, world: World, notify: Callable[[str], None]
) -> RunOptions:
    """Train runs on the cluster of `options.dask`, as many at a time as it has workers (or GPUs, if they name any).

    notify: called with a line for each finished run

    Returns the options with which this machine combines the runs; those given if there is no cluster.
    Raises UserError if there is no scheduler or a run fails.
    """
    if not options.dask:
        return options
    if world.size > 1:
        raise UserError("--dask: start it without torchrun; the cluster's workers train the runs")
    with connect(options.dask) as client:
        _train_all(client, jobs, options, notify)
    return replace(options, dask=None, device=options.here)


def _train_all(
    client: "Client", jobs: Sequence[Job], options: RunOptions, notify: Callable[[str], None]
) -> None:
    needs = {GPU: 1} if client.run_on_scheduler(_has_gpus) else None
    waiting = {}
    for job in jobs:
        task = {"retries": RETRIES, "resources": needs, "pure": False}
        waiting[client.submit(run_job, job.as_json(options), **task)] = job
    # Signals are noted, not raised: one that interrupts Dask while it has a lock leaves its own thread without it.
    with stop_request() as stop:
        while waiting:
            stop.check()
            for future in [future for future in waiting if future.done()]:
                job = waiting.pop(future)
                _require_trained(future, job)
                done = f"{len(jobs) - len(waiting)} of {counted(len(jobs), 'run')}"
                notify(f"{job.out}: trained on the cluster ({done})")
            time.sleep(WAIT_SECONDS)


def _require_trained(future: "Future", job: Job) -> None:
    """Raise UserError if a finished future's run failed."""
    from distributed.scheduler import KilledWorker

    try:
        problem = future.result()
    except KilledWorker:
        problem = "every Dask worker that took it was lost"
    except RuntimeError as error:  # of `run_job`, after all retries
        problem = str(error)
    if problem:
        raise UserError(f"{job.out} failed on the cluster: {problem}")


def run_job(content: str) -> str:
    """Train a run in a subprocess of the Dask worker. Returns the error in one line, empty if there is none.

    The subprocess saves and ends if the command that asked for the run has ended.

    Raises RuntimeError if the subprocess was killed or stopped, so that Dask tries it again.
    """
    import distributed

    worker = distributed.get_worker()
    task = worker.state.tasks[worker.get_current_task()]  # Dask cannot stop a running task, but marks it
    command = [sys.executable, "-P", "-m", "dfer.train", "job"]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as process:
        given: str | None = content
        while True:
            try:
                _, stderr = process.communicate(given, timeout=POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                given = None  # it is sent
                if task.state == "cancelled":
                    process.terminate()
    if process.returncode < 0 or process.returncode > 128:
        raise RuntimeError("its process was killed or stopped")
    return (stderr.strip().splitlines() or ["no reason given"])[-1] if process.returncode else ""


def _has_gpus(dask_scheduler: object) -> bool:
    """Whether a worker names GPUs as a resource; runs on the scheduler."""
    return bool(dask_scheduler.resources.get(GPU))
