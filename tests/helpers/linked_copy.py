"""Copies of runs and caches that a test damages: a run has checkpoints of 200 MB."""

import os
import shutil
from pathlib import Path


def linked_copy(folder: Path, target: Path, *changed: str) -> Path:
    """Copy a folder by hard links; files with the names `changed`, which the test writes to, are real copies."""

    def copy(source: str, destination: str) -> None:
        if Path(source).name in changed:
            shutil.copy2(source, destination)
        else:
            os.link(source, destination)

    return Path(shutil.copytree(folder, target, copy_function=copy))
