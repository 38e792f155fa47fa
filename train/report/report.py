"""The report of a run: one HTML page (`schemas.page`) with its curves, its figures and what the network looks at.

train report RUN [--cache CACHE …]
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dfer.schemas.html import page
from dfer.schemas.html.markup import Html, tag
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted
from dfer.train.commands import evaluate
from dfer.train.data.caches import Pool, open_pool, usable
from dfer.train.data.dataset import clip_dataset, view_spec
from dfer.train.data.loader import Loader
from dfer.train.engine import checkpoint
from dfer.train.engine.checkpoint import Checkpoint
from dfer.train.engine.device import choose_device
from dfer.train.engine.experiment import RunOptions, read_origin
from dfer.train.report.insight import look_into
from dfer.train.report.looks import (
    Looked,
    attention_section,
    clips_section,
    features_section,
    weights_section,
)
from dfer.train.report.results import curves, figures, overview
from dfer.train.results import run_folder
from dfer.train.results.predictions import read_predictions

MOST_CLIPS = 2000  # that are looked into: t-SNE of more takes minutes and shows no more
PREDICTIONS = {"last": run_folder.PREDICTIONS, "best": run_folder.BEST_PREDICTIONS}


def report_page(
    run: Path, folders: Sequence[Path], which: str, clips_per_kind: int, run_options: RunOptions
) -> bytes:
    """The page of a run, UTF-8. folders: where its caches lie, none: where they lay; which: whose features and
    attention are shown, of the `last` or the `best` network; clips_per_kind: 0 shows no faces.

    Raises UserError for a run without a finished epoch, or a cache that is not the run's.
    """
    if not run.is_dir():
        raise UserError(f"no such run: {run}")
    origin = read_origin(run)
    last = checkpoint.load(run / run_folder.LAST)
    rows = last.rows
    if not rows:
        raise UserError(f"{run} has no finished epoch yet: nothing to report")
    tables = {name: read_predictions(run / file, last.labels) for name, file in PREDICTIONS.items()}
    kept = last if which == "last" else checkpoint.load(run / f"{which}.pt")
    looked = _look(run, _pool_of(run, origin, folders), kept, tables[which], run_options)
    sections = {
        "Learning curves": curves(rows, last),
        "Figures": figures(tables, kept.labels, rows, origin),
        **_looks(looked, clips_per_kind),
        "What made this run": _provenance(run, kept, origin),
    }
    return page.document("Run", run.resolve().name, overview(rows, origin), sections)


def _looks(looked: Looked | None, clips_per_kind: int) -> dict[str, Html]:
    titles = ("Clip features", "Temporal attention", "Key-point weights", "Clips")
    if looked is None:
        return dict.fromkeys(titles, tag("p", "No test clip is usable, so there is nothing to look at."))
    made = (features_section(looked), attention_section(looked), weights_section(looked))
    return dict(zip(titles, (*made, clips_section(looked, clips_per_kind)), strict=True))


def _pool_of(run: Path, origin: dict[str, Any], folders: Sequence[Path]) -> Pool:
    """The caches that the run was trained on. Raises UserError where they are not there, or others."""
    where = folders or [Path(folder) for folder in origin["caches"]]
    if not folders and not (where and all(folder.is_dir() for folder in where)):
        gone = ", ".join(str(folder) for folder in where if not folder.is_dir())
        raise UserError(f"the cache of {run} is not at {gone}; say with --cache where it is")
    pool = open_pool(*where)
    if len(where) != len(origin["caches"]):
        raise UserError(
            f"{run} was trained on {counted(len(origin['caches']), 'cache')}: give --cache for each, in that order"
        )
    if pool.settings_hash != origin.get("cache_settings_hash"):
        raise UserError(f"{pool.where} is not the cache of {run}: it was extracted with other settings")
    return pool


def _look(
    run: Path, pool: Pool, kept: Checkpoint, predictions: pl.DataFrame, run_options: RunOptions
) -> Looked | None:
    clips = usable(evaluate.chosen_split(pool, run, kept.config.recipe.seed, "test").test)
    if clips.is_empty():
        return None
    drawn = np.random.default_rng(0).permutation(len(clips))[:MOST_CLIPS]
    device = choose_device(run_options.device)
    network = checkpoint.restore(kept).to(device)
    dataset = clip_dataset(pool, clips, kept.labels, view_spec(kept.config))
    loader = Loader(dataset, run_options.loader_workers or 0, device)
    numbered = clips.select("clip_id").with_row_index("number")
    known = numbered.join(predictions, on="clip_id", how="left", maintain_order="left")
    if known["predicted"].null_count():
        raise UserError(f"{pool.where} is not the cache of {run}: it has other clips")
    return Looked(
        network=network,
        kept=kept,
        loader=loader,
        predictions=known[drawn.tolist()],
        insight=look_into(network, loader, drawn.tolist(), kept.config, device),
    )


def _provenance(run: Path, kept: Checkpoint, origin: dict[str, Any]) -> Html:
    settings = {f"Settings: {name}": values for name, values in kept.config.to_dict().items()}
    plain = {name: value for name, value in origin.items() if name not in ("versions", "caches")}
    weights = _weights(run / run_folder.WEIGHTS)
    given = {"Weights it started from": weights} if weights else {}
    return page.fact_tables({"Run": plain, "Versions": origin["versions"], **settings, **given})


def _weights(path: Path) -> dict[str, Any]:
    """What became of the weights that the run was given; nothing where it was given none. Raises UserError."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged; take it from a copy, or remove it")
    return content
