"""What a folder is: a run, a cache, or a folder of several runs; and what is refused where it is another."""

from pathlib import Path

from schemas.cache import INFO_FILE
from schemas.errors import UserError

RUN = "run.json"  # which only a run's folder has


def refuse_what_is_one(out: Path) -> None:
    """Raise UserError where the folder for several runs is a run, or a cache: its files would be replaced."""
    for name, what in ((RUN, "a run"), (INFO_FILE, "a cache")):
        if (out / name).exists():
            raise UserError(f"{out} is {what}; give another --out for several runs")


def refuse_what_is_no_run(folder: Path) -> None:
    """Raise UserError where a folder is a cache, or no run but holds some: a cross-validation's, or a sweep's."""
    if (folder / RUN).exists():
        return
    if (folder / INFO_FILE).exists():
        raise UserError(f"{folder} is a cache, where a run is needed: `train evaluate RUN CACHE`")
    runs = sorted(path.parent for depth in ("*", "*/*") for path in folder.glob(f"{depth}/{RUN}"))
    if runs:
        raise UserError(f"{folder} holds several runs; give one of them, such as {runs[0]}")
