"""The HTML page of `train compare`."""

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from dfer.schemas.html import page
from dfer.schemas.html.markup import Html, join, tag
from dfer.schemas.html.page import Origin
from dfer.schemas.support.text import counted
from dfer.train.commands.measurement import INFERENCE, TRAINING
from dfer.train.report.figure_sections import published, source_facts, wide_table
from dfer.train.report.sweep_tables import marked, with_intervals
from dfer.train.results.baseline import NAME
from dfer.train.results.metrics import percent
from dfer.train.several.candidates import Row
from dfer.train.several.compare import CompareResult, as_dict, plot
from dfer.train.several.compared_networks import OWN

COMMAND = "train compare"


def comparison_page(result: CompareResult, out: Path) -> bytes:
    """Build the page. out: the comparison's folder, for its title."""
    found = result.comparison
    ours = {row.name: (row.war, row.uar) for row in found.rows}
    sections = {
        "Accuracy": _accuracy(result),
        "Accuracy against cost": _chart(result),
        "Cost": _costs(result),
        "Published results": published(found.dataset, ours, result.not_comparable),
        "Networks": _networks(result),
        "Training": _training(result),
    }
    content = sha256(json.dumps(as_dict(result)).encode()).hexdigest()
    origin = Origin(command=COMMAND, content=content)
    kept = {title: section for title, section in sections.items() if section is not None}
    return page.document("Comparison", out.resolve().name, _overview(result), kept, origin=origin)


def _overview(result: CompareResult) -> Html:
    found = result.comparison
    shown = [
        ("dataset", found.dataset),
        (found.tested_on, f"{found.clips:,}"),
        ("networks", str(len(found.rows))),
        ("seeds", str(found.seeds)),
        _highest(found.rows),
    ]
    if found.baseline:
        shown.append((f"WAR, {NAME}", percent(found.baseline.estimate.war)))
    warning = "warning" if found.seen else None
    return join(page.key_figures(shown), tag("p", f"Tested on: {found.protocol}.", class_=warning))


def _highest(rows: Sequence[Row]) -> tuple[str, str]:
    """The highest WAR, and which network has it, for a tile. Those tie that have the same figure in the table."""
    shown = percent(max(row.estimate.war for row in rows))
    names = [row.name for row in rows if percent(row.estimate.war) == shown]
    if len(rows) == 1:
        return f"WAR, {names[0]}", shown
    if len(names) > 2:
        return f"WAR, {len(names)} networks (a tie)", shown
    return f"WAR, {' and '.join(names)} ({'a tie' if len(names) == 2 else 'highest'})", shown


def _accuracy(result: CompareResult) -> Html:
    found, first = result.comparison, result.comparison.rows[0].name
    head = ["network", "WAR, %", "UAR, %", f"WAR minus {first}, points", f"UAR minus {first}, points"]
    body = []
    if found.baseline:
        differences = [marked(found.baseline.difference, figure) for figure in ("war", "uar")]
        body.append([NAME, *with_intervals(found.baseline.estimate), *differences])
    for network, row in zip(result.networks, found.rows, strict=True):
        differences = [marked(row.difference, name) if row.difference else "–" for name in ("war", "uar")]
        name = f"{row.name} (as far as published)" if network.remark else row.name
        body.append([name, *with_intervals(row.estimate), *differences])
    over = f", mean of {counted(found.seeds, 'seed')}" if found.seeds > 1 else ""
    drawn = found.rows[0].estimate.intervals.drawn
    note = (
        f"All {found.tested_on} pooled, last epoch{over}. In brackets: 95 % intervals, bootstrap over {drawn}; of "
        "the differences a paired one. *: it excludes zero."
    )
    return join(wide_table(head, body, []), tag("p", tag("small", note)))


def _chart(result: CompareResult) -> Html:
    alt = "WAR of each network against its multiply-adds per clip; the tables have the figures"
    return tag("figure", page.picture(plot(result), alt))


def _costs(result: CompareResult) -> Html:
    head = ["network", "parameters", "multiply-adds", "training, clips/s", "inference, clips/s", "memory"]
    body = []
    for network, row in zip(result.networks, result.comparison.rows, strict=True):
        training, inference = (network.speeds[task] for task in (TRAINING, INFERENCE))
        speeds = [each.failure or f"{each.clips_per_second:.3g}" for each in (training, inference)]
        memory = "–" if training.failure else f"{training.memory / 2**30:.2f} GiB"
        size = [f"{row.cost.parameters / 1e6:.2f} M", f"{row.cost.multiply_adds / 1e9:.3f} G"]
        body.append([network.name, *size, *speeds, memory])
    measured = result.networks[0].speeds[TRAINING]
    note = (
        f"Speeds were measured on random clips, in batches of {measured.batch_size}, on the machine that wrote this "
        f"page ({measured.device}, {counted(measured.threads, 'thread')}); memory is that of a training step."
    )
    return join(wide_table(head, body, []), tag("p", tag("small", note)))


def _networks(result: CompareResult) -> Html:
    return page.fact_tables({network.name: source_facts(network.source) for network in result.networks})


def _training(result: CompareResult) -> Html:
    asked, first = result.asked, result.networks[0].config
    shared = {
        "recipe": "each network's own" if asked.recipe == OWN else asked.recipe,
        "epochs": first.recipe.epochs,
        "frames": first.data.num_frames,
        "image size": f"{first.data.image_size} px",
        "pre-trained on": asked.stills and str(asked.stills),
        "number format": first.execution.precision,
    }
    head = ["network", "recipe", "optimiser", "learning rate", "batch size", "schedule", "label smoothing"]
    body = []
    for network in result.networks:
        recipe = network.config.recipe
        numbers = (recipe.learning_rate, recipe.batch_size, recipe.schedule, recipe.label_smoothing)
        body.append([network.name, network.recipe, recipe.optimiser, *map(str, numbers)])
    return join(page.fact_tables({"shared": shared}), wide_table(head, body, []))
