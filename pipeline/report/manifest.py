"""`pipeline manifest`: a dataset's table of clips, written and counted without decoding a clip."""

import json
from pathlib import Path

import click
from rich.console import Console

from dfer.data_manifest.counts import count
from dfer.data_manifest.datasets import Manifest
from dfer.data_manifest.layouts.stored_manifest import write_manifest
from dfer.pipeline.report.datasets import print_counts
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import target_file
from dfer.schemas.support.text import command, counted


def check_target(out: Path, source: Path) -> None:
    """Raise UserError if a manifest cannot be written to `out`, or if that is the table that is read."""
    if target_file(out, suffixes=(".parquet",)) == source.resolve():
        raise UserError(f"--out {out} is the source; choose another file")


def print_manifest(manifest: Manifest, out: Path | None, as_json: bool) -> None:
    """Print a manifest's counts and problems, and write its table to a Parquet file if there is an `out`."""
    if out:
        write_manifest(
            out,
            manifest.clips,
            dataset=manifest.dataset,
            labels=manifest.labels,
            root=manifest.root,
            face_crops=manifest.face_crops,
        )
    counts = count(manifest)
    if as_json:
        written = {"manifest": str(out)} if out else {}
        click.echo(json.dumps({**written, **counts}, indent=2, ensure_ascii=False))
        return
    print_counts(counts, manifest.problems, Console())
    if out:
        click.echo(f"{counted(len(manifest.clips), 'clip')} in {out}")
        click.echo(f"next: {command('pipeline', 'extract', out, '--out')} CACHE")
