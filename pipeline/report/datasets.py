"""Print what is known of each dataset, and the counts of one manifest."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dfer.data_manifest.datasets import READERS
from dfer.data_manifest.problems import Problem
from dfer.schemas.manifest import FRAME_FOLDER, IMAGE, MISSING, VIDEO
from dfer.schemas.support.commands import printable
from dfer.schemas.support.text import counted

FOLDS_SHOWN = 6  # as columns; more do not fit into 80 characters
KINDS = {VIDEO: "video", FRAME_FOLDER: "frame folder", IMAGE: "still"}
FIELDS = ("classes", "counts", "protocol", "licence", "cite")
FUNCTIONS = ("fits", "read")


def known_datasets() -> list[dict[str, Any]]:
    """Everything known of each dataset, for JSON."""
    return [{k: v for k, v in asdict(reader).items() if k not in FUNCTIONS} for reader in READERS]


def print_datasets(console: Console) -> None:
    """Print each dataset's files on disk, classes, counts, protocol, licence and citation."""
    for known in known_datasets():
        console.print(Text.assemble((known["name"], "bold"), "  ", known["title"]))
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, style="dim")
        table.add_column(overflow="fold")
        table.add_row("on disk", _bullets(known["expects"]))
        for field in FIELDS:
            value = known[field]
            if field == "classes" and value:
                value = f"{len(value)}: {', '.join(value)}"
            if value:
                table.add_row(field, Text(value))
        console.print(Padding(table, (0, 0, 1, 2)))


def _bullets(lines: Sequence[str]) -> Table:
    """Lines that wrap with a hanging indent."""
    table = Table.grid(padding=(0, 1))
    for line in lines:
        table.add_row("-", Text(line))
    return table


def print_counts(counts: dict[str, Any], problems: Sequence[Problem], console: Console) -> None:
    """Print a manifest's clips per label, split and fold, its class imbalance, and its problems."""
    console.print(_label_table(counts))
    for name, fold in counts["folds"].items():
        console.print(f"fold {name}: {fold['train']['clips']} train, {fold['test']['clips']} test")
    if len(counts["folds"]) > FOLDS_SHOWN:
        console.print("labels of each fold: with --json")
    kinds = [counted(counts["kinds"][kind], word) for kind, word in KINDS.items() if counts["kinds"][kind]]
    missing = counts["kinds"][MISSING]
    console.print(f"on disk: {', '.join(kinds) or 'none'}{f'; missing: {missing}' if missing else ''}")
    votes = counts["votes"]
    if votes["clips"]:
        unlabelled = votes["without_label"]
        console.print(f"votes: {counted(votes['clips'], 'clip')}, {unlabelled} of them without a label")
    if counts["imbalance"]:
        console.print(_imbalance(counts["imbalance"]))
    if problems:
        console.print("problems:")
    for problem in problems:
        console.print(Text(f"  {printable(problem.line)}"), soft_wrap=True)


def _imbalance(ratio: float) -> str:
    """Say how many times the smallest class the largest one is."""
    if f"{ratio:.1f}" == "1.0":
        return "imbalance: none, all classes have about as many clips"
    return f"imbalance: the largest class is {ratio:.1f} times the smallest"


def _label_table(counts: dict[str, Any]) -> Table:
    """Clips of each label: all, per split, and in the test part of each fold."""
    parts = {name: part["labels"] for name, part in counts["splits"].items()}
    if len(counts["folds"]) <= FOLDS_SHOWN:
        parts |= {f"fold {name} test": fold["test"]["labels"] for name, fold in counts["folds"].items()}
    title = f"{counted(counts['clips'], 'clip')} of {escape(counts['dataset'])}"
    table = Table(title=title, title_justify="left")
    table.add_column("label", no_wrap=True)
    for name in ("all", *parts):
        table.add_column(name, justify="right")
    for label, size in counts["labels"].items():
        sizes = (f"{part.get(label, 0)}" for part in parts.values())
        table.add_row(escape(printable(label)), f"{size}", *sizes)
    table.add_section()
    table.add_row("all", f"{counts['clips']}", *(f"{sum(part.values())}" for part in parts.values()))
    return table
