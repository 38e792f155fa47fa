"""What the commands that only look at datasets print: the known ones, and the counts of one manifest."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console, Group
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dfer.data_manifest.datasets import READERS
from dfer.data_manifest.problems import Problem
from dfer.schemas.manifest import FRAME_FOLDER, MISSING, VIDEO
from dfer.schemas.support.commands import printable
from dfer.schemas.support.text import counted

FOLDS_SHOWN = 6  # in columns of their own; more do not fit on 80 characters
KINDS = {VIDEO: "video", FRAME_FOLDER: "frame folder"}
FIELDS = ("expects", "classes", "counts", "protocol", "licence", "cite")


def known_datasets() -> list[dict[str, Any]]:
    """What is known of every dataset, for JSON."""
    functions = ("fits", "read")
    return [{k: v for k, v in asdict(reader).items() if k not in functions} for reader in READERS]


def print_datasets(console: Console) -> None:
    """Every dataset with what it expects on disk, its classes, counts, protocol, licence and citation."""
    for known in known_datasets():
        console.print(Text.assemble((known["name"], "bold"), "  ", known["title"]))
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, style="dim")
        table.add_column(overflow="fold")
        for field in FIELDS:
            value = known[field]
            if field == "classes" and value:
                value = f"{len(value)}: {', '.join(value)}"
            elif field == "expects":
                value = "\n".join(value)
            if value:
                table.add_row("on disk" if field == "expects" else field, Text(value))
        console.print(Padding(Group(table), (0, 0, 1, 2)))


def print_counts(counts: dict[str, Any], problems: Sequence[Problem], console: Console) -> None:
    """A manifest's clips per label and split or fold, how unequal the classes are, and its problems."""
    parts = {name: part["labels"] for name, part in counts["splits"].items()}
    if len(counts["folds"]) <= FOLDS_SHOWN:
        parts |= {f"fold {name} test": fold["test"]["labels"] for name, fold in counts["folds"].items()}
    table = Table(title=f"{counted(counts['clips'], 'clip')} of {counts['dataset']}", title_justify="left")
    table.add_column("label", no_wrap=True)
    for name in ("all", *parts):
        table.add_column(name, justify="right")
    for label, size in counts["labels"].items():
        table.add_row(
            escape(printable(label)), f"{size}", *(f"{part.get(label, 0)}" for part in parts.values())
        )
    table.add_section()
    table.add_row("all", f"{counts['clips']}", *(f"{sum(part.values())}" for part in parts.values()))
    console.print(table)
    for name, fold in counts["folds"].items():
        console.print(f"fold {name}: {fold['train']['clips']} train, {fold['test']['clips']} test")
    if len(counts["folds"]) > FOLDS_SHOWN:
        console.print("labels of each fold: with --json")
    kinds = [counted(counts["kinds"][kind], word) for kind, word in KINDS.items() if counts["kinds"][kind]]
    missing = counts["kinds"][MISSING]
    console.print(f"on disk: {', '.join(kinds) or 'none'}{f'; missing: {missing}' if missing else ''}")
    if counts["imbalance"]:
        console.print(
            f"imbalance: the largest class has {counts['imbalance']:.1f} times the clips of the smallest"
        )
    for problem in problems:
        console.print(Text(printable(problem.line)), soft_wrap=True)
