"""Real processes of `train` that start in milliseconds: forks of one that has imported torch and nothing more."""

import multiprocessing
import os
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

PRELOADED = (
    "dfer.train.cli",
    "dfer.train.commands.run",
    "matplotlib.figure",
    "sklearn.linear_model",
    "forks",
)


def start_train(arguments: list[object], log: Path) -> BaseProcess:
    """Start `train` with these arguments, as the leader of a session. log: gets what it prints"""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED])
    process = context.Process(target=_train, args=([*map(str, arguments)], str(log)))
    process.start()
    return process


def kill_after(process: BaseProcess, path: Path) -> bool:
    """Kill a process with SIGKILL once a file exists. Returns whether it was still running."""
    while process.is_alive() and not path.exists():
        time.sleep(0.001)
    process.kill()
    process.join()
    return process.exitcode == -9


def _train(arguments: list[str], log: str) -> None:
    from dfer.train.cli import main

    os.setsid()
    with Path(log).open("w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    main(arguments, prog_name="train")
