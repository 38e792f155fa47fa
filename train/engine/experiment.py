"""What decides a run's result, and what it is compared by when a folder holds a run already."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dfer.schemas.support.errors import UserError
from dfer.train.config import TrainConfig
from dfer.train.data.caches import Pool
from dfer.train.data.splits import Split, SplitChoice, choose_split, require_lesson
from dfer.train.engine.weights import FROM_SCRATCH, Start
from dfer.train.results.run_folder import RUN, SETTINGS, require_run

# What other commands read of run.json, beside the split, and of what kind it is.
NEEDED = {
    "dataset": str,
    "labels": list,
    "training_clips": int,
    "test_clips": int,
    "tested_on": str,
    "protocol": str,
    "tested_on_training_clips": bool,
    "caches": list,
    "notes": list,
    "versions": dict,
}
LIBRARIES = ("dfer-keypoints", "numpy", "polars", "pyarrow", "torch")
OF_TEXTS = ("labels", "caches", "notes")
# Of `origin_of`, what is another wherever the cache is another.
OF_CACHE = {"dataset", "labels", "cache_settings_hash"}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Settings, which clips are judged, and what weights it starts from."""

    config: TrainConfig
    split: SplitChoice
    start: Start = FROM_SCRATCH

    def settled(self, pool: Pool) -> "Experiment":
        """The same with what its settings leave to the caches decided."""
        return dataclasses.replace(self, config=self.config.settled(not pool.without_expressions))

    def choose(self, pool: Pool) -> Split:
        """The clips to train on and to judge. Raises UserError."""
        split = choose_split(pool.clips, self.split, self.config.recipe.seed)
        require_lesson(split, pool.where)
        if self.split.holdout and not split.held_out:
            raise UserError(
                f"--holdout {self.split.holdout}: nothing is kept apart of {pool.where}, which is judged on "
                f"{split.description}; leave it out"
            )
        return split


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """With what it is trained; none of it changes the result but for rounding. save_minutes: how often the run is
    saved within an epoch, 0: at every step; tensorboard: whether event files are written beside it."""

    device: str = "auto"
    loader_workers: int | None = None
    save_minutes: float = 5.0
    tensorboard: bool = False


def origin_of(
    experiment: Experiment, pool: Pool, split: Split, started: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What a run is made of beside its settings: what another run must share to be the same run.

    started: hashes that stand in for weights' files which are gone (`started_from`).
    Raises UserError where such a file is needed.
    """
    return {
        "dataset": pool.dataset,
        "labels": list(pool.labels),
        "cache_settings_hash": pool.settings_hash,
        "clips_hash": _clips_hash(split),
        "split": experiment.split.as_dict(),
        **experiment.start.hashes(started or {}),
    }


def library_versions() -> dict[str, str]:
    """What computes."""
    return {name: version(name) for name in LIBRARIES}


def started_from(run: Path) -> dict[str, str]:
    """The hashes of the files that the run in a folder started from; none where there is no run. It needs the files
    no more: it goes on without them."""
    try:
        found = json.loads((run / RUN).read_bytes())
        return {name: found[name] for name in FROM_SCRATCH.hashes() if isinstance(found.get(name), str)}
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}  # whoever reads the run says what is wrong with it


def read_origin(run: Path) -> dict[str, Any]:
    """What run.json says. Raises UserError where there is none or it is damaged."""
    path = run / RUN
    if not path.exists():
        require_run(run)
    try:
        content = json.loads(path.read_bytes())
        SplitChoice.from_dict(content["split"])
        if "cache" in content:  # a run from before there could be several
            content["caches"] = [content.pop("cache")]
            content.setdefault("protocol", content["tested_on"])
        content = {"notes": [], "versions": {}, **content}  # which older runs lack
        if not all(isinstance(content[name], kind) for name, kind in NEEDED.items()):
            raise TypeError
        if not all(isinstance(text, str) for name in OF_TEXTS for text in content[name]):
            raise TypeError
        return content
    except (OSError, ValueError, KeyError, TypeError, RecursionError, UserError):
        raise UserError(f"{path} is missing or damaged: {run} is not a run") from None


def difference(run: Path, config: TrainConfig, origin: Mapping[str, Any]) -> str | None:
    """In what the run in a folder is another than the one asked for; None where it is the same.

    Raises UserError where the folder holds no run.
    """
    found = read_origin(run)
    try:
        settings = (run / SETTINGS).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{run / SETTINGS} is missing or damaged: {run} is not a run") from None
    asked = config.to_toml().splitlines()
    if settings != asked:
        there = sorted(set(settings) - set(asked)) or sorted(set(asked) - set(settings))
        return ", ".join(there)
    others = {name for name, value in origin.items() if found.get(name) != value}
    if others & OF_CACHE:
        return "another cache"
    if "split" in others:
        return f"another split: {_split_difference(found['split'], origin['split'])}"
    if "clips_hash" in others:
        return "other clips"
    return "another start of weights" if others else None


def _split_difference(found: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    pairs = ((name.replace("_", " "), found.get(name), value) for name, value in asked.items())
    return ", ".join(f"{name} {there} instead of {value}" for name, there, value in pairs if there != value)


def _clips_hash(split: Split) -> str:
    """Of the clips and labels of both parts, in order."""
    digest = hashlib.sha256()
    for part in (split.train, split.test):
        table = part.select("clip_id", "label", "status", "fingerprint")
        digest.update(table.write_csv().encode())
    return digest.hexdigest()
