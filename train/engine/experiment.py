"""What defines a run, and how two runs are compared.

A folder contains the run that is asked for if these are equal: all settings; the dataset's name, its classes in order
and the caches' settings hashes; ids, labels, statuses and fingerprints of the training and test clips, in order; the
split asked for; the hashes of given weights (--init-from, --backbone) and of a model's own file. Versions of
libraries, the device, the number of workers and the place of the caches may differ.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.settings import flag
from dfer.train.config import SECTIONS, TrainConfig, load_config
from dfer.train.data.caches import Pool, usable
from dfer.train.data.splits import Split, SplitChoice, choose_split, require_trainable
from dfer.train.engine.weights import FROM_SCRATCH, Start
from dfer.train.models.registry import ModelError, code_version
from dfer.train.results.run_folder import RUN, SETTINGS, require_run

# Types of what other commands read from run.json, except the split.
TYPES = {
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
TEXT_LISTS = ("labels", "caches", "notes")
LIBRARIES = ("dfer-keypoints", "numpy", "polars", "pyarrow", "torch")
OTHER_CODE = "another version of the model's code"
OF_CACHE = {"dataset", "labels", "cache_settings_hash"}  # what of `origin_of` differs if the cache does


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Settings, the split, and the weights to start from."""

    config: TrainConfig
    split: SplitChoice
    start: Start = FROM_SCRATCH

    def settled(self, pool: Pool) -> "Experiment":
        """Decide the settings that depend on the caches."""
        return dataclasses.replace(self, config=self.config.settled(not pool.without_expressions))

    def choose(self, pool: Pool) -> Split:
        """Choose the training and test clips. Raises UserError if they, or the caches, cannot be used."""
        recipe = self.config.recipe
        if self.config.network.takes_expressions:
            pool.require_expressions()
        split = choose_split(pool.clips, self.split, recipe.seed, where=pool.where, votes=recipe.soft_labels)
        require_trainable(split, pool.where)
        if recipe.soft_labels and not usable(split.train)["votes"].count():
            raise UserError(
                f"--soft-labels: no training clip of {pool.where} has votes; extract a dataset that comes with votes "
                "(or a table with them), or leave it out"
            )
        if self.split.holdout and not split.held_out:
            raise UserError(
                f"--holdout {self.split.holdout} has no effect on {pool.where}, tested on {split.description}; "
                "leave it out"
            )
        return split


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How to train; changes the result by rounding at most.

    device: as `choose_device` takes it
    loader_workers: processes that decode JPEGs; None: chosen by the device
    save_minutes: how often to save within an epoch; 0: after every step
    tensorboard: whether to write event files too
    dask: address of a Dask scheduler; commands that train several runs train each on one of its workers
    """

    device: str = "auto"
    loader_workers: int | None = None
    save_minutes: float = 5.0
    tensorboard: bool = False
    dask: str | None = None

    @property
    def here(self) -> str:
        """The device of this machine: with a cluster it only combines results."""
        return "cpu" if self.dask else self.device


def origin_of(
    experiment: Experiment, pool: Pool, split: Split, started: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Everything besides the settings that another run must share to be the same run.

    split: the clips that the experiment chose
    started: hashes to use for given weights whose files are gone (`started_from`)

    Raises UserError if such a file is gone and its hash unknown.
    """
    return {
        "dataset": pool.dataset,
        "labels": list(pool.labels),
        "cache_settings_hash": pool.settings_hash,
        "clips_hash": clips_hash(split),
        "split": experiment.split.as_dict(),
        "model_version": code_version(experiment.config.model),
        **experiment.start.hashes(started or {}),
    }


def library_versions() -> dict[str, str]:
    """The installed versions of what computes."""
    return {name: version(name) for name in LIBRARIES}


def started_from(run: Path) -> dict[str, str]:
    """Read the hashes of the weights that a run started from, so that it can resume without the files.

    Empty if there is no run or its run.json is damaged.
    """
    try:
        found = json.loads((run / RUN).read_bytes())
        return {name: found[name] for name in FROM_SCRATCH.hashes() if isinstance(found.get(name), str)}
    except (OSError, ValueError, AttributeError):
        return {}  # `read_origin` reports what is wrong


def read_origin(run: Path) -> dict[str, Any]:
    """Read and check run.json. Raises UserError if it is missing or damaged."""
    path = run / RUN
    if not path.exists():
        require_run(run)
    try:
        content = json.loads(path.read_bytes())
        content["split"] = SplitChoice.from_dict(content["split"]).as_dict()  # older runs lack newer fields
        if not all(isinstance(content[name], kind) for name, kind in TYPES.items()):
            raise TypeError
        if not all(isinstance(text, str) for name in TEXT_LISTS for text in content[name]):
            raise TypeError
        return content
    except (OSError, ValueError, KeyError, TypeError, UserError):
        raise UserError(f"{path} is missing or damaged: {run} is not a run") from None


def difference(run: Path, config: TrainConfig, origin: Mapping[str, Any]) -> str | None:
    """Say how the run in a folder differs from the one asked for; None if it does not.

    config, origin: of the run asked for (`origin_of`)

    Raises UserError if the folder is not a run, or its files are damaged.
    """
    found = read_origin(run)
    try:
        settings = _settings_difference(_read_settings(run), config)
    except UserError:
        if found.get("model_version") != origin["model_version"]:
            return OTHER_CODE  # its settings may have other names now
        raise
    if settings:
        return settings
    others = {name for name, value in origin.items() if found.get(name) != value}
    if others & OF_CACHE:
        return "another cache"
    if "split" in others:
        there, asked = (SplitChoice.from_dict(choice["split"]).words for choice in (found, origin))
        return f"another split: {there} instead of {asked}"
    if "clips_hash" in others:
        return "other clips"
    if "model_version" in others:
        return OTHER_CODE
    return "other initial weights" if others else None


def _read_settings(run: Path) -> TrainConfig:
    path = run / SETTINGS
    if not path.is_file():
        raise UserError(f"{path} is missing: {run} is not a run")
    try:
        return load_config(str(path))
    except ModelError:
        raise
    except UserError as error:
        raise UserError(
            f"{path} is damaged or from another version of `train`; use the version that wrote it, or another --out"
        ) from error


def _settings_difference(found: TrainConfig, asked: TrainConfig) -> str:
    """List the settings that differ, as "--heads 8 instead of --heads 2"."""
    if found.model != asked.model:
        return f"--model {found.model} instead of --model {asked.model}"
    there, wanted = found.to_dict(), asked.to_dict()
    return ", ".join(
        f"{_as_flag(name, there[section][name])} instead of {_as_flag(name, value)}"
        for section in SECTIONS
        for name, value in wanted[section].items()
        if there[section][name] != value
    )


def _as_flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return flag(name) if value else flag(f"no_{name}")
    return f"{flag(name)} {','.join(map(str, value)) if isinstance(value, tuple) else value}"


def clips_hash(split: Split) -> str:
    """Hash the clips and labels of both parts, in order, and the votes if they are trained on."""
    digest = hashlib.sha256()
    for part in (split.train, split.test):
        table = part.select("clip_id", "label", "status", "fingerprint")
        digest.update(table.write_csv().encode())
    if split.votes:
        digest.update(json.dumps(split.train["votes"].to_list()).encode())
    return digest.hexdigest()
