"""Sections of the report made from the run's files alone: learning curves, recalls, confusion, published results."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from dfer.schemas.html import page
from dfer.schemas.html.markup import Html, join, tag
from dfer.schemas.support.text import counted
from dfer.train.config import TrainConfig
from dfer.train.engine.checkpoint import Checkpoint
from dfer.train.models.interface import Source
from dfer.train.results import metrics, plots
from dfer.train.results.baseline import DESCRIPTION, NAME
from dfer.train.results.comparison import (
    compare_with_published,
    footnotes,
    not_comparable_reason,
    split_remark,
)
from dfer.train.results.figures import Figures, compute_figures
from dfer.train.results.logs import EpochRow, best_row
from dfer.train.results.metrics import percent


def overview(rows: Sequence[EpochRow], origin: Mapping[str, Any], baseline: Figures | None) -> Html:
    """The main figures and the warnings, at the top of the page.

    origin: content of run.json
    baseline: figures of the landmark baseline, if the run has one
    """
    last, best = rows[-1], best_row(rows)
    shown = [
        ("dataset", str(origin["dataset"])),
        ("training clips", f"{origin['training_clips']:,}"),
        ("test clips", f"{origin['test_clips']:,}"),
        (f"WAR, epoch {last.epoch + 1} (last)", percent(last.test_war)),
        (f"UAR, epoch {last.epoch + 1} (last)", percent(last.test_uar)),
        (f"WAR, epoch {best.epoch + 1} (best)", percent(best.test_war)),
        (f"UAR, epoch {best.epoch + 1} (best)", percent(best.test_uar)),
    ]
    if baseline:
        shown += [
            (f"WAR, {NAME}", percent(baseline.war)),
            (f"UAR, {NAME}", percent(baseline.uar)),
        ]
    tested_on = f"Tested on {origin['tested_on']}."
    return join(
        page.key_figures(shown),
        tag("p", tested_on, class_="warning" if origin["tested_on_training_clips"] else None),
        *(
            tag("p", note, class_="warning" if note.startswith("warning") else None)
            for note in origin["notes"]
        ),
    )


def curves(rows: Sequence[EpochRow], last: Checkpoint, baseline: Figures | None, *, seen: bool) -> Html:
    """Losses, WAR and UAR over the epochs, with the WAR of the landmark baseline.

    seen: whether the test clips are the training clips
    """
    losses, shares = plots.learning_curves_pngs(rows, baseline.war if baseline else None)
    epochs = last.config.recipe.epochs
    unfinished = f" The run is unfinished: {len(rows)} of {epochs} epochs." if len(rows) < epochs else ""
    return join(
        tag(
            "p",
            f"{_how_measured(last.config, seen)} The losses differ in level: the training loss is that of the "
            "recipe, with all parts of the network's loss, the test loss is the cross-entropy of the prediction."
            f"{unfinished}",
        ),
        tag(
            "div",
            tag("figure", page.picture(losses, "losses over the epochs")),
            tag("figure", page.picture(shares, "WAR and UAR over the epochs")),
            class_="matrices",
        ),
    )


def _how_measured(config: TrainConfig, seen: bool) -> str:
    """How training and test curves differ. seen: whether they are of the same clips"""
    data, recipe = config.data, config.recipe
    augmented = data.flip or data.crop_fraction < 1 or data.color_jitter > 0 or recipe.mixup > 0
    clips = "augmented clips" if augmented else "frames drawn at random from the clips"
    average = ", with the moving average of the weights" if recipe.ema_decay else ""
    why = "; so they differ, although the test clips are the training clips" if seen else ""
    return (
        f"Training curves are measured on {clips} while the weights change, with the network in training mode "
        f"(dropout, and batch norm of each step's clips), test curves after each epoch{average}{why}."
    )


def figures(
    tables: Mapping[str, pl.DataFrame],
    labels: Sequence[str],
    rows: Sequence[EpochRow],
    origin: Mapping[str, Any],
    baseline: Figures | None,
) -> Html:
    """Recalls, WAR, UAR and confusion matrices, and the published results.

    tables: prediction tables of the `last` and the `best` epoch
    labels: the network's classes
    rows: metrics of all epochs
    origin: content of run.json
    baseline: figures of the landmark baseline, if the run has one
    """
    computed = {name: compute_figures(table, labels) for name, table in tables.items()}
    epochs = {"last": rows[-1].epoch + 1, "best": best_row(rows).epoch + 1}
    pictures = [
        tag(
            "figure",
            tag("h3", f"Confusion matrix, {name} epoch ({epochs[name]})"),
            page.picture(
                plots.confusion_png(of_epoch.confusion, labels, counted(of_epoch.clips, "clip")),
                f"confusion matrix of the {name} epoch; the table above has the recalls",
            ),
        )
        for name, of_epoch in computed.items()
    ]
    return join(
        tag(
            "p",
            f"last: epoch {epochs['last']}. best: epoch {epochs['best']}, the one with the highest test WAR, as most "
            "papers report. A clip without a usable face counts as predicted as the most frequent training class.",
        ),
        tag("p", f"{DESCRIPTION}: the line that a network has to beat.".capitalize()) if baseline else None,
        _recall_table({**computed, **({NAME: baseline} if baseline else {})}, labels),
        tag("div", *pictures, class_="matrices"),
        _published(origin, computed),
    )


def _recall_table(computed: Mapping[str, Figures], labels: Sequence[str]) -> Html:
    """Recall of each class, then WAR and UAR, a column for each of the named figures."""
    recalls = {name: metrics.recalls(of_epoch.confusion) for name, of_epoch in computed.items()}
    last = computed["last"]
    counts = last.confusion.sum(1)
    body = [
        [label, str(counts[k]), *(percent(recalls[name][k]) for name in computed)]
        for k, label in enumerate(labels)
    ]
    foot = [
        [title, str(clips), *(percent(getattr(of_epoch, figure)) for of_epoch in computed.values())]
        for title, clips, figure in (
            ("WAR, all clips", last.clips, "war"),
            ("UAR, all clips", last.clips, "uar"),
            ("WAR, usable clips", last.usable, "war_usable"),
            ("UAR, usable clips", last.usable, "uar_usable"),
        )
    ]
    return wide_table(["class", "clips", *(f"recall, {name}" for name in computed)], body, foot)


def _published(origin: Mapping[str, Any], computed: dict[str, Figures]) -> Html | None:
    dataset = str(origin["dataset"])
    ours = {f"this run, {name} epoch": (found.war, found.uar) for name, found in computed.items()}
    clips, protocol = computed["last"].clips, origin["protocol"]
    reason = not_comparable_reason(dataset, trained_on=dataset, protocol=protocol, clips=clips)
    return published(dataset, ours, reason)


def published(dataset: str, ours: Mapping[str, tuple[float, float]], reason: str | None) -> Html | None:
    """Our results above the published ones; None if none are published for the dataset.

    ours: WAR and UAR, 0–1, by name
    reason: why they cannot be compared, shown instead of the table; None if they can
    """
    comparison = compare_with_published(dataset, ours)
    if comparison is None:
        return None
    if reason:
        return tag("p", f"Not comparable with the published results on {dataset}: {reason}.")
    rows = [*comparison.ours, *comparison.published]
    marks, notes = footnotes(split_remark(row.remark) for row in rows)
    body = [
        [row.method, percent(row.war), percent(row.uar), mark] for row, mark in zip(rows, marks, strict=True)
    ]
    return join(
        tag("h3", f"Published results on {comparison.title}"),
        wide_table(["method", "WAR", "UAR", "notes"], body, []),
        tag("p", tag("small", *(join(note, tag("br")) for note in notes))) if notes else None,
    )


def wide_table(head: Sequence[str], body: Sequence[Sequence[str]], foot: Sequence[Sequence[str]]) -> Html:
    """A table whose first column names the rows; on a narrow screen each cell has its column's name."""

    def row(cells: Sequence[str]) -> Html:
        named = zip(head[1:], cells[1:], strict=True)
        return tag(
            "tr", tag("th", cells[0], scope="row"), *(tag("td", cell, data_name=name) for name, cell in named)
        )

    return tag(
        "div",
        tag(
            "table",
            tag("thead", tag("tr", *(tag("th", name, scope="col") for name in head))),
            tag("tbody", *map(row, body)),
            tag("tfoot", *map(row, foot)) if foot else None,
        ),
        class_="wide",
    )


def source_facts(source: Source) -> dict[str, str]:
    """Where a network comes from, for `page.fact_tables`."""
    facts = {"source": source.citation}
    if source.parameters:
        facts["published parameters"] = f"{source.parameters:g} M"
    if source.gaps:
        facts["as far as published; left open there"] = source.gaps
    return facts
