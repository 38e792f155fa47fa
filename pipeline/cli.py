"""`pipeline`: raw clips to a landmark cache. Commands parse, call and print; imports wait until they are needed."""

import os
from pathlib import Path

import click

from dfer.pipeline.options import (
    COMPOUND_OPTION,
    DATASET_OPTION,
    JSON_OPTION,
    MODELS_OPTION,
    NAME_OPTION,
    SliceType,
    SourceType,
    means_options,
)
from dfer.schemas.support.commands import Program, printable, resumable
from dfer.schemas.support.text import counted


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dfer-keypoints", message="%(prog)s %(version)s")
def main() -> None:
    """Turn folders of raw face clips into a landmark cache: face crops, 68 landmarks, 18 key-points."""


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@JSON_OPTION
def sample(folder: Path, as_json: bool) -> None:
    """Bring six real clips (CREMA-D, ODbL) into FOLDER, to try things on."""
    import json

    from dfer.pipeline.setup.sample_clips import CLIPS, fetch_sample

    fetched = fetch_sample(folder)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "clips": CLIPS, "fetched": fetched}))
    else:
        click.echo(f"{len(CLIPS)} clips in {folder}" + ("" if fetched else " (already there)"))


@main.command()
@MODELS_OPTION
@JSON_OPTION
def models(models_folder: Path | None, as_json: bool) -> None:
    """Show each model file: place, licence, whether its sha256 holds. A missing one is obtained."""
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
    """List the datasets that are known: what lies where, classes, counts, licence, citation."""
    import json

    from rich.console import Console

    from dfer.pipeline.report.datasets import known_datasets, print_datasets

    if as_json:
        click.echo(json.dumps(known_datasets(), indent=2, ensure_ascii=False))
    else:
        print_datasets(Console())


@main.command()
@click.argument("source", type=SourceType())
@click.option("--out", type=click.Path(path_type=Path), help="Write the table to this Parquet file.")
@DATASET_OPTION
@NAME_OPTION
@COMPOUND_OPTION
@JSON_OPTION
def manifest(
    source: Path, out: Path | None, dataset: str, name: str | None, compound: bool, as_json: bool
) -> None:
    """Read the table of SOURCE's clips, without decoding any, and print its counts and problems."""
    from dfer.data_manifest.reader import Options
    from dfer.pipeline.run import session

    options = Options(compound=compound, name=name)
    session.show_manifest(session.Source(path=source, dataset=dataset, options=options), out, as_json)


@main.command()
@click.argument("source", type=SourceType())
@DATASET_OPTION
@NAME_OPTION
@COMPOUND_OPTION
@click.option("--out", "cache", required=True, type=click.Path(path_type=Path), help="The cache's folder.")
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: one per core]")
@click.option("--frames", type=int, default=32, show_default=True, help="Most frames kept of a clip.")
@click.option(
    "--input",
    type=click.Choice(["scene", "face"]),
    default="scene",
    show_default=True,
    help="face: every frame is a face crop already (DFEW, FERV39k).",
)
@click.option("--size", type=int, default=128, show_default=True, help="Side of the crops, pixels.")
@click.option(
    "--margin", type=float, default=0.1, show_default=True, help="Border around the face, a share of it."
)
@click.option(
    "--align",
    type=click.Choice(["similarity", "box"]),
    default="similarity",
    show_default=True,
    help="similarity: eyes level; box: the face's box as it is.",
)
@click.option("--blendshapes", is_flag=True, help="Add MediaPipe's 52 expression scores of every frame.")
@click.option(
    "--shard-clips", type=int, default=256, show_default=True, help="Clips in a shard, done as a whole."
)
@click.option(
    "--slice", "part", type=SliceType(), help="Do only every N-th shard from the I-th on (I from 0)."
)
@click.option(
    "--retry", is_flag=True, help="Make the shards again that hold quarantined or undecodable clips."
)
@click.option("--dask", "address", help="Address of a Dask scheduler to run the shards on.")
@click.option("--strict", is_flag=True, help="Exit with 3 if a clip was unusable.")
@means_options
@JSON_OPTION
@resumable
def extract(
    source: Path,
    dataset: str,
    name: str | None,
    compound: bool,
    cache: Path,
    workers: int | None,
    part: tuple[int, int] | None,
    address: str | None,
    retry: bool,
    strict: bool,
    as_json: bool,
    means: dict,
    **settings: float | str,
) -> None:
    """Extract every clip below SOURCE into a landmark cache.

    SOURCE is the folder of a dataset that `pipeline datasets` lists, any tree with a folder per label (videos,
    GIFs or folders of images), or a CSV or Parquet table of clips. Run it again to go on after an
    interruption; what is done is kept.
    """
    from dfer.data_manifest.reader import Options
    from dfer.pipeline.config import ExtractConfig
    from dfer.pipeline.run import session
    from dfer.pipeline.run.extract import Slice
    from dfer.schemas.support.processes import available_cores

    if address and (part or workers or retry):
        raise click.UsageError("--dask goes without --slice, --workers and --retry")
    config = ExtractConfig(**settings)
    options = Options(compound=compound, name=name)
    clips = session.Source(path=source, dataset=dataset, options=options)
    chosen = session.Means(**means)
    if address:
        outcome = session.extract_on_cluster(clips, cache, config, chosen, address)
    else:
        share = Slice(number=part[0], count=part[1]) if part else None
        outcome = session.extract_here(
            clips, cache, config, chosen, workers or available_cores(), share, retry
        )
    if not session.show(outcome, cache, as_json) and strict:
        raise SystemExit(3)


@main.command(hidden=True)
@click.argument("cache", type=click.Path(path_type=Path))
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("index", type=int)
@means_options
@resumable
def shard(cache: Path, source: Path, index: int, means: dict) -> None:
    """Extract shard INDEX of a CACHE that was begun elsewhere (what `--dask` runs)."""
    from dfer.pipeline.run import session
    from dfer.schemas.support.processes import end_with_parent

    end_with_parent(os.getppid())
    session.extract_shard(cache, source, index, session.Means(**means))


@main.command()
@click.argument("cache", type=click.Path(path_type=Path))
@JSON_OPTION
def finalize(cache: Path, as_json: bool) -> None:
    """Join the slices of CACHE, when all are done, into a finished cache."""
    from dfer.pipeline.run import session
    from dfer.pipeline.run.extract import Outcome, join_slices

    clips = join_slices(cache)
    session.show(Outcome(clips=clips, extracted=len(clips), reused=None), cache, as_json)


@main.command("report")
@click.argument("cache", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="report.html",
    show_default=True,
    help="The page's file.",
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
def report_command(cache: Path, out: Path, clips_per_group: int, as_json: bool) -> None:
    """Show what is in CACHE on one HTML page: counts, distributions, faces, every unusable clip."""
    from dfer.pipeline.report.report import check_target, report_page
    from dfer.schemas.html.page import write_page

    check_target(out, cache)
    write_page(out, report_page(cache, clips_per_group), as_json)


@main.command()
@click.argument("cache", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@JSON_OPTION
def share(cache: Path, out: Path, as_json: bool) -> None:
    """Write CACHE's landmark tables to OUT, without a picture, for others who hold the same videos."""
    import json

    from dfer.pipeline.cache.share import share as copy_tables

    clips = copy_tables(cache, out)
    if as_json:
        click.echo(json.dumps({"shared": str(out), "clips": clips}))
        return
    click.echo(f"landmarks of {counted(clips, 'clip')} in {out}, for `pipeline extract SOURCE --reuse {out}`")


@main.command()
@click.argument("cache", type=click.Path(path_type=Path))
@JSON_OPTION
def verify(cache: Path, as_json: bool) -> None:
    """Check every byte of CACHE: checksums, schemas, counts and cross-references. Reads only."""
    import json
    from dataclasses import asdict

    from dfer.pipeline.cache import verify as check

    findings = list(check.verify(cache))
    counts = None if findings else asdict(check.count(cache))
    if as_json:
        found = [asdict(finding) for finding in findings]
        click.echo(
            json.dumps({"cache": str(cache), "holds": not findings, "counts": counts, "findings": found})
        )
    elif counts:
        held = ", ".join(counted(number, name.removesuffix("s")) for name, number in counts.items())
        click.echo(f"{cache} holds: {held}")
    else:
        for finding in findings:
            click.echo(printable(f"{finding.file}: {finding.wrong}"))
    if findings:
        raise SystemExit(1)


@main.command()
@MODELS_OPTION
@JSON_OPTION
def doctor(models_folder: Path | None, as_json: bool) -> None:
    """Check that this machine can run an extraction, and suggest fixes."""
    from dfer.pipeline.doctor import print_checks, run_checks

    if not print_checks(run_checks(models_folder), as_json):
        raise SystemExit(1)
