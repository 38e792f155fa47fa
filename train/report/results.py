"""The sections of a run's page that its files tell: curves, recalls, confusion, the published figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from dfer.schemas.html import page
from dfer.schemas.html.markup import Html, join, tag
from dfer.schemas.support.text import counted
from dfer.train.engine.checkpoint import Checkpoint
from dfer.train.results import metrics, plots
from dfer.train.results.comparison import obstacle, side_by_side
from dfer.train.results.figures import Figures, compute_figures
from dfer.train.results.logs import EpochRow, best_row
from dfer.train.results.metrics import percent


def overview(rows: Sequence[EpochRow], origin: Mapping[str, Any]) -> Html:
    """What is seen first. origin: what run.json says."""
    last, best = rows[-1], best_row(rows)
    shown = [
        ("dataset", str(origin["dataset"])),
        ("training clips", f"{origin['training_clips']:,}"),
        ("test clips", f"{origin['test_clips']:,}"),
        (f"WAR, epoch {last.epoch + 1} (last)", percent(last.test_war)),
        ("UAR", percent(last.test_uar)),
        (f"WAR, epoch {best.epoch + 1} (best)", percent(best.test_war)),
        ("UAR", percent(best.test_uar)),
    ]
    words = f"Judged on {origin['tested_on']}."
    return join(
        page.key_figures(shown),
        tag("p", words, class_="warning" if origin["tested_on_training_clips"] else None),
        *(
            tag("p", note, class_="warning" if note.startswith("warning") else None)
            for note in origin["notes"]
        ),
    )


def curves(rows: Sequence[EpochRow], last: Checkpoint) -> Html:
    """Losses and figures over the epochs."""
    planned = last.config.recipe.epochs
    unfinished = f" The run is not finished: {len(rows)} of {planned} epochs." if len(rows) < planned else ""
    return join(
        tag(
            "p",
            "Training figures are of augmented clips while the weights move, test figures of the network that "
            "predicts. The training loss is what the recipe minimises, of both classifiers; the test loss is the "
            f"cross-entropy of the prediction alone: their levels differ.{unfinished}",
        ),
        tag("figure", page.picture(plots.learning_curves_png(rows), "losses, WAR and UAR over the epochs")),
    )


def figures(
    tables: Mapping[str, pl.DataFrame],
    labels: Sequence[str],
    rows: Sequence[EpochRow],
    origin: Mapping[str, Any],
) -> Html:
    """Recalls, WAR, UAR and confusion of the prediction tables `last` and `best`, beside what is published.
    origin: what run.json says."""
    judged = {name: compute_figures(table, labels) for name, table in tables.items()}
    epochs = {"last": rows[-1].epoch + 1, "best": best_row(rows).epoch + 1}
    recalls = {name: metrics.recalls(figures.confusion) for name, figures in judged.items()}
    head = ["class", "clips", *(f"recall, {name}" for name in judged)]
    counts = judged["last"].confusion.sum(1)
    body = [
        [label, str(counts[k]), *(percent(recalls[name][k]) for name in judged)]
        for k, label in enumerate(labels)
    ]
    foot = [
        [title, str(clips), *(percent(getattr(judged[name], figure)) for name in judged)]
        for title, clips, figure in (
            ("WAR, all clips", judged["last"].clips, "war"),
            ("UAR, all clips", judged["last"].clips, "uar"),
            ("WAR, usable clips", judged["last"].usable, "war_usable"),
            ("UAR, usable clips", judged["last"].usable, "uar_usable"),
        )
    ]
    pictures = [
        tag(
            "figure",
            tag("h3", f"Confusion, {name} (epoch {epochs[name]})"),
            page.picture(
                plots.confusion_png(figures.confusion, labels, counted(figures.clips, "clip")),
                f"confusion matrix of the {name} network; the recalls stand in the table",
            ),
        )
        for name, figures in judged.items()
    ]
    return join(
        tag(
            "p",
            f"last: after epoch {epochs['last']}; best: after epoch {epochs['best']}, the one with the highest WAR "
            "on the test clips, as most papers report. A clip without a usable face counts as predicted as the most "
            "frequent training class.",
        ),
        _table(head, body, foot),
        tag("div", *pictures, class_="matrices"),
        _published(origin, judged),
    )


def _published(origin: Mapping[str, Any], judged: dict[str, Figures]) -> Html | None:
    dataset = str(origin["dataset"])
    beside = side_by_side(dataset, {f"this run, {name}": (f.war, f.uar) for name, f in judged.items()})
    if beside is None:
        return None
    incomparable = obstacle(
        dataset, trained_on=dataset, protocol=origin["protocol"], clips=judged["last"].clips
    )
    if incomparable:
        return tag("p", f"Not comparable with what is published for {dataset}: {incomparable}.")
    title, own, theirs = beside
    rows = [[row.method, percent(row.war), percent(row.uar), row.remark] for row in (*own, *theirs)]
    return join(tag("h3", f"Published for {title}"), _table(["method", "WAR", "UAR", "remark"], rows, []))


def _table(head: Sequence[str], body: Sequence[Sequence[str]], foot: Sequence[Sequence[str]]) -> Html:
    def row(cells: Sequence[str]) -> Html:
        return tag("tr", tag("th", cells[0], scope="row"), *(tag("td", cell) for cell in cells[1:]))

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
