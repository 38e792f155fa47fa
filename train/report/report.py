"""`train report`: one HTML page with a run's learning curves, results, and what the network looks at."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dfer.schemas.html import page
from dfer.schemas.html.markup import Html, tag
from dfer.schemas.html.page import Origin
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted
from dfer.train.commands.evaluate import choose_clips
from dfer.train.config import SECTIONS
from dfer.train.data.caches import Pool, open_pool, usable
from dfer.train.data.dataset import clip_dataset, view_spec
from dfer.train.data.loader import Loader, worker_deaths_explained
from dfer.train.data.splits import SplitChoice
from dfer.train.engine import checkpoint
from dfer.train.engine.checkpoint import Checkpoint
from dfer.train.engine.device import choose_device
from dfer.train.engine.experiment import RunOptions, read_origin
from dfer.train.models.registry import network_class
from dfer.train.report.activation_sections import (
    SampledClips,
    attention_section,
    clips_section,
    features_section,
    weights_section,
)
from dfer.train.report.activations import record_activations
from dfer.train.report.figure_sections import curves, figures, overview, source_facts
from dfer.train.results import run_folder
from dfer.train.results.baseline import baseline_figures
from dfer.train.results.predictions import read_predictions
from dfer.train.results.run_folder import output_file, require_trained

MAX_SAMPLE = 2000  # clips; t-SNE of more takes minutes and shows no more
PREDICTIONS = {"last": run_folder.PREDICTIONS, "best": run_folder.BEST_PREDICTIONS}


def report_target(run: Path, out: Path | None) -> Path:
    """Where the page of a run is to be written: `out`, or report.html in the run's folder.

    Raises UserError if there is no such run, the page cannot be written there, or another file is there.
    """
    require_trained(run)
    read_origin(run)
    target = out or run / "report.html"
    output_file(target)
    page.page_target(target, _origin(run), own=out is None)
    return target


def _origin(run: Path) -> Origin:
    files = (run / name for name in (run_folder.RUN, run_folder.SETTINGS))
    return Origin.of_files("train report", *files)


def report_page(
    run: Path, folders: Sequence[Path], which: str, clips_per_kind: int, run_options: RunOptions
) -> bytes:
    """Make the HTML page of a run, as UTF-8.

    run: the run's folder
    folders: of its caches; if empty, where they were when it was trained
    which: `last` or `best`, the network whose activations are shown
    clips_per_kind: correctly and incorrectly classified clips to show, each; 0 shows no faces

    Raises UserError for a run without a finished epoch, or a cache that is not the run's.
    """
    origin = read_origin(run)
    last = checkpoint.load(run / run_folder.LAST)
    rows = last.rows
    if not rows:
        raise UserError(f"{run} has no finished epoch yet; continue it with `train run … --resume`")
    tables = {name: read_predictions(run / file, last.labels) for name, file in PREDICTIONS.items()}
    baseline = baseline_figures(run, last.labels)
    weights = _read_weights(run / run_folder.WEIGHTS)
    shown = last if which == "last" else checkpoint.load(run / f"{which}.pt")
    sample = _sample(run, _pool_of(run, origin, folders), shown, tables[which], run_options)
    sections = {
        "Learning curves": curves(rows, last, baseline, seen=origin["tested_on_training_clips"]),
        "Results": figures(tables, shown.labels, rows, origin, baseline),
        **_activation_sections(sample, clips_per_kind),
        "Settings and versions": _provenance(shown, origin, weights),
    }
    top = overview(rows, origin, baseline)
    return page.document("Run", run.resolve().name, top, sections, origin=_origin(run))


def _activation_sections(sample: SampledClips | None, clips_per_kind: int) -> dict[str, Html]:
    titles = ("Clip features", "Temporal attention", "Key-point weights", "Clips")
    if sample is None:
        return dict.fromkeys(titles, tag("p", "Left out: no test clip is usable."))
    sections = (
        *(features_section(sample), attention_section(sample), weights_section(sample)),
        clips_section(sample, clips_per_kind),
    )
    return dict(zip(titles, sections, strict=True))


def _pool_of(run: Path, origin: dict[str, Any], folders: Sequence[Path]) -> Pool:
    """The caches that the run was trained on. Raises UserError if they are missing or are others."""
    where = folders or [Path(folder) for folder in origin["caches"]]
    if not folders and not (where and all(folder.is_dir() for folder in where)):
        missing = ", ".join(str(folder) for folder in where if not folder.is_dir())
        raise UserError(f"the cache of {run} is not at {missing}; give its new place with --cache")
    pool = open_pool(*where)
    if len(where) != len(origin["caches"]):
        raise UserError(
            f"{run} was trained on {counted(len(origin['caches']), 'cache')}; give --cache for each, in that order"
        )
    if pool.settings_hash != origin.get("cache_settings_hash"):
        raise UserError(f"{pool.where} is not the cache of {run}: it was extracted with other settings")
    return pool


@worker_deaths_explained()
def _sample(
    run: Path, pool: Pool, saved: Checkpoint, predictions: pl.DataFrame, run_options: RunOptions
) -> SampledClips | None:
    """The network on a sample of the run's usable test clips; None if there are none. Raises UserError."""
    clips = usable(choose_clips(pool, run, saved.config.recipe, "test").test)
    if clips.is_empty():
        return None
    drawn = np.random.default_rng(0).permutation(len(clips))[:MAX_SAMPLE].tolist()
    device = choose_device(run_options.device)
    network = checkpoint.restore(saved).to(device)
    dataset = clip_dataset(pool, clips, saved.labels, view_spec(saved.config))
    loader = Loader(dataset, run_options.loader_workers or 0, device)
    numbered = clips.select("clip_id").with_row_index("number")
    known = numbered.join(predictions, on="clip_id", how="left", maintain_order="left")
    if known["predicted"].null_count():
        raise UserError(f"{pool.where} is not the cache of {run}: it has other clips")
    return SampledClips(
        network=network,
        checkpoint=saved,
        loader=loader,
        keypoint_set=pool.keypoints,
        predictions=known[drawn],
        activations=record_activations(network, loader, drawn, saved.config, device),
    )


def _provenance(saved: Checkpoint, origin: dict[str, Any], weights: dict[str, Any]) -> Html:
    values = saved.config.to_dict()
    settings = {f"Settings: {name}": page.spaced(values[name]) for name in SECTIONS}
    shown = {name: value for name, value in origin.items() if name not in ("versions", "caches")}
    plain = {"model": values["model"], **shown}
    plain["split"] = SplitChoice.from_dict(origin["split"]).words
    initial = {"Initial weights": page.spaced(weights)} if weights else {}
    run = page.spaced(plain)
    network = source_facts(network_class(saved.config.model).source_of(saved.config.network))
    facts = {"Run": run, "Network": network, "Versions": origin["versions"], **settings, **initial}
    return page.fact_tables(facts)


def _read_weights(path: Path) -> dict[str, Any]:
    """What the run loaded of its initial weights; empty if it started from none. Raises UserError."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged; restore it from a copy, or remove it")
    return content
