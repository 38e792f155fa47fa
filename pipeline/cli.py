"""`pipeline`: raw clips to a landmark cache. Commands parse, call and print; heavy imports wait until needed."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import click

from dfer.pipeline.config import ExtractConfig, RunOptions
from dfer.pipeline.options import (
    MODELS_OPTION,
    SliceType,
    dataset_options,
    limit_options,
    read_dataset,
)
from dfer.schemas.support.commands import Program, printable, resumable
from dfer.schemas.support.options import JSON_OPTION, SettingsCommand, from_flags, setting_options
from dfer.schemas.support.text import command, counted

CACHE_ARGUMENT = click.argument("cache", type=click.Path(path_type=Path))


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dfer-keypoints", message="%(prog)s %(version)s")
def main() -> None:
    """Turn folders of raw face clips into a landmark cache: face crops, 68 landmarks and 18 key-points."""


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@JSON_OPTION
def sample(folder: Path, as_json: bool) -> None:
    """Download six sample clips (CREMA-D, ODbL) into FOLDER."""
    import json

    from dfer.pipeline.setup.sample import CLIPS, fetch_sample

    fetched = fetch_sample(folder)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "clips": CLIPS, "fetched": fetched}))
    else:
        click.echo(f"{len(CLIPS)} clips in {folder}" + ("" if fetched else " (already there)"))
        click.echo(f"next: {command('pipeline', 'extract', folder, '--out')} CACHE")


@main.command()
@MODELS_OPTION
@JSON_OPTION
def models(models_folder: Path | None, as_json: bool) -> None:
    """Show the model files, and download missing ones."""
    import json

    from dfer.pipeline.setup.models import MODEL_FILES, obtain

    rows = [
        {"name": m.name, "purpose": m.purpose, "licence": m.licence, "sha256": m.sha256, "m": m}
        for m in MODEL_FILES
    ]
    for row in rows:
        row["path"] = str(obtain(row.pop("m"), models_folder))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['name']}\n  for      {row['purpose']}\n  licence  {row['licence']}")
        click.echo(f"  file     {row['path']}\n  sha256   {row['sha256']} (checked)")


@main.command()
@JSON_OPTION
def datasets(as_json: bool) -> None:
    """List the known datasets, with layout, classes, counts, licence and citation."""
    import json

    from rich.console import Console

    from dfer.pipeline.report.datasets import known_datasets, print_datasets

    if as_json:
        click.echo(json.dumps(known_datasets(), indent=2, ensure_ascii=False))
    else:
        print_datasets(Console())


@main.command()
@dataset_options
@click.option("--out", type=click.Path(path_type=Path), help="Write the table to this Parquet file.")
@JSON_OPTION
def manifest(out: Path | None, as_json: bool, **source: Any) -> None:
    """Count the clips of SOURCE and list problems. No clip is decoded."""
    from dfer.pipeline.report.manifest import check_target, print_manifest

    for path in source["sources"] if out else ():
        check_target(out, path)
    print_manifest(read_dataset(**source), out, as_json)


@main.command(cls=SettingsCommand)
@dataset_options
@click.option("--out", "cache", required=True, type=click.Path(path_type=Path), help="Folder of the cache.")
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: one per core]")
@click.option("--slice", type=SliceType(), help="Process only shards I, I+N, I+2N, … (I from 0).")
@click.option("--dask", metavar="ADDRESS", help="Run the shards on the Dask cluster with this scheduler.")
@click.option("--retry", is_flag=True, help="Extract shards with quarantined or undecodable clips again.")
@click.option("--strict", is_flag=True, help="Exit with 3 if a clip is unusable.")
@limit_options
@JSON_OPTION
@setting_options(ExtractConfig, "Settings of the cache")
@resumable
def extract(
    sources: tuple[Path, ...],
    dataset: str,
    name: str | None,
    compound: bool,
    cache: Path,
    strict: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Extract every clip of SOURCE into a landmark cache.

    SOURCE is the folder of a dataset that `pipeline datasets` lists, any folder with a subfolder per label (videos,
    GIFs or folders of images), or a CSV or Parquet table of clips. Single videos, or videos directly in a folder,
    have no label; several SOURCEs make one cache. After an interruption, run the same command again; finished
    shards are kept.
    """
    from dfer.pipeline.cache.plan import default_shard_clips
    from dfer.pipeline.run import terminal
    from dfer.pipeline.run.extract import extract as extract_dataset

    config, options = from_flags(ExtractConfig, flags), from_flags(RunOptions, flags)
    if options.dask and (options.slice or options.workers or options.retry):
        raise click.UsageError("--dask cannot be combined with --slice, --workers or --retry")
    clips = read_dataset(sources, dataset, name, compound)
    if flags["shard_clips"] is None:
        config = dataclasses.replace(config, shard_clips=default_shard_clips(clips.clips))
    terminal.print_problems(clips, config)
    with terminal.clip_progress() as (on_start, on_done):
        outcome = extract_dataset(clips, cache, config, options, on_start=on_start, on_done=on_done)
    terminal.print_outcome(outcome, cache, as_json)
    if strict and not outcome.all_usable:
        terminal.print_unusable(outcome.clips)
        raise SystemExit(3)


@main.command(hidden=True)
@CACHE_ARGUMENT
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("index", type=int)
@limit_options
@resumable
def shard(cache: Path, source: Path, index: int, **flags: Any) -> None:
    """Extract shard INDEX of a prepared CACHE (`--dask` runs this)."""
    from dfer.pipeline.run.shard import extract_shard
    from dfer.schemas.support.processes import end_with_parent

    end_with_parent(os.getppid())
    extract_shard(cache, source, index, from_flags(RunOptions, flags))


@main.command()
@CACHE_ARGUMENT
@JSON_OPTION
def finalize(cache: Path, as_json: bool) -> None:
    """Finish CACHE when all its slices are done."""
    from dfer.pipeline.cache.counts import own_rows
    from dfer.pipeline.run.extract import Outcome
    from dfer.pipeline.run.finalize import finalize as finish
    from dfer.pipeline.run.terminal import print_outcome

    clips = finish(cache)
    print_outcome(Outcome(clips=clips, extracted=len(own_rows(clips)), reused=None), cache, as_json)


@main.command()
@CACHE_ARGUMENT
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File to write.  [default: CACHE-report.html]",
)
@click.option(
    "--clips",
    "clips_per_group",
    type=click.IntRange(0, 500),
    default=12,
    show_default=True,
    help="Clips on each contact sheet; 0 shows no faces.",
)
@JSON_OPTION
def report(cache: Path, out: Path | None, clips_per_group: int, as_json: bool) -> None:
    """Show CACHE on an HTML page: counts, distributions, faces, unusable clips."""
    from dfer.pipeline.report.report import report_page, report_target
    from dfer.schemas.html.page import write_page

    target = report_target(cache, out)
    write_page(target, report_page(cache, clips_per_group), as_json)


@main.command()
@CACHE_ARGUMENT
@click.argument("out", type=click.Path(path_type=Path))
@JSON_OPTION
def share(cache: Path, out: Path, as_json: bool) -> None:
    """Copy CACHE to OUT without faces. Others with the same videos can --reuse it."""
    import json

    from dfer.pipeline.cache.share import share as copy_tables

    clips = copy_tables(cache, out)
    if as_json:
        click.echo(json.dumps({"shared": str(out), "clips": clips}))
    else:
        click.echo(
            f"landmarks of {counted(clips, 'clip')} in {out}, without a picture\nnext: whoever has the same files: "
            f"{command('pipeline', 'extract', 'SOURCE', '--reuse', out, '--out')} CACHE; without them: "
            f"{command('train', 'baseline', out)}"
        )


@main.command()
@CACHE_ARGUMENT
@JSON_OPTION
def verify(cache: Path, as_json: bool) -> None:
    """Check CACHE: checksums, schemas, counts, cross-references. Changes nothing."""
    import json
    from dataclasses import asdict

    from dfer.pipeline.cache.verify import count
    from dfer.pipeline.cache.verify import verify as check

    faults = list(check(cache))
    counts = None if faults else asdict(count(cache))
    if as_json:
        verdict = {"cache": str(cache), "valid": not faults, "counts": counts}
        click.echo(json.dumps({**verdict, "faults": [asdict(fault) for fault in faults]}))
    elif counts:
        listed = ", ".join(counted(number, name.removesuffix("s")) for name, number in counts.items())
        click.echo(f"{cache} is valid: {listed}")
    for fault in faults if not as_json else ():
        click.echo(printable(f"{fault.file}: {fault.problem}"))
    if faults:
        raise SystemExit(1)


@main.command()
@MODELS_OPTION
@JSON_OPTION
def doctor(models_folder: Path | None, as_json: bool) -> None:
    """Check that this machine can run an extraction, and suggest fixes."""
    from dfer.pipeline.doctor import print_checks, run_checks

    if not print_checks(run_checks(models_folder), as_json):
        raise SystemExit(1)
