"""`pipeline`: raw clips to a landmark cache. Commands parse, call and print; imports wait until they are needed."""

from pathlib import Path

import click

from schemas.commands import Program, resumable

MODELS_OPTION = click.option(
    "--models",
    "models_folder",
    type=click.Path(path_type=Path),
    help="Folder with the model files (also: DFER_MODELS).",
)
JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print for a program to read.")


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dfer-keypoints", message="%(prog)s %(version)s")
def main() -> None:
    """Turn folders of raw face clips into a landmark cache: face crops, 68 landmarks, 18 key-points."""


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
def sample(folder: Path) -> None:
    """Bring six real clips (CREMA-D, ODbL) into FOLDER, to try things on."""
    from pipeline.sample import CLIPS, fetch_sample

    fetched = fetch_sample(folder)
    click.echo(f"{len(CLIPS)} clips in {folder}" + ("" if fetched else " (already there)"))


@main.command()
@MODELS_OPTION
@JSON_OPTION
def models(models_folder: Path | None, as_json: bool) -> None:
    """Show each model file: place, licence, whether its sha256 holds. A missing one is obtained."""
    import json

    from pipeline.models import MODEL_FILES, obtain

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
        click.echo(f"  file     {row['path']}\n  sha256   {row['sha256']} holds")


@main.command()
@click.argument("source", type=click.Path(path_type=Path))
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
    "--reuse",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A cache (or what `share` wrote) whose landmarks are taken where it knows a clip. Repeatable.",
)
@click.option(
    "--shard-clips", type=int, default=256, show_default=True, help="Clips in a shard, done as a whole."
)
@click.option(
    "--clip-timeout", type=float, default=60, show_default=True, help="Seconds until a clip is given up."
)
@click.option(
    "--worker-memory", type=float, default=2, show_default=True, help="GB until a worker's clip is given up."
)
@click.option("--strict", is_flag=True, help="Exit with 3 if a clip was unusable.")
@MODELS_OPTION
@JSON_OPTION
@resumable
def extract(
    source: Path,
    cache: Path,
    workers: int | None,
    reuse: tuple[Path, ...],
    clip_timeout: float,
    worker_memory: float,
    models_folder: Path | None,
    strict: bool,
    as_json: bool,
    **settings: float | str,
) -> None:
    """Extract every clip below SOURCE into a landmark cache.

    SOURCE is CREMA-D's folder of videos, or any tree with a folder per label: videos, GIFs or folders of
    images. Run it again to go on after an interruption; what is done is kept.
    """
    import json

    from rich.console import Console

    from data_manifest.datasets import read_manifest
    from pipeline import report
    from pipeline.config import ExtractConfig
    from pipeline.extract import default_workers, landmark_hash
    from pipeline.extract import extract as run
    from pipeline.models import obtain_all
    from pipeline.progress import clip_progress
    from pipeline.reuse import open_reuse
    from pipeline.workers import Limits

    config = ExtractConfig(**settings)
    limits = Limits(clip_timeout=clip_timeout, worker_memory=round(1e9 * worker_memory))
    manifest = read_manifest(source)
    with clip_progress() as (on_start, on_clip):
        outcome = run(
            manifest,
            source,
            cache,
            config,
            obtain_all(models_folder),
            worker_count=workers or default_workers(),
            limits=limits,
            reuse=open_reuse(reuse, landmark_hash(config)),
            on_start=on_start,
            on_clip=on_clip,
        )
    counts = report.summarise(outcome.clips)
    if as_json:
        click.echo(
            json.dumps(
                {"cache": str(cache), "extracted": outcome.extracted, "reused": outcome.reused, **counts},
                indent=2,
            )
        )
    elif not outcome.extracted:
        click.echo(f"nothing to do: {cache} holds all {counts['clips']} clips ({counts['ok']} usable)")
    else:
        report.print_summary(outcome.clips, Console())
        if reuse:
            click.echo(f"landmarks of {outcome.reused} of {outcome.extracted} extracted clips were reused")
        click.echo(f"{counts['ok']} of {counts['clips']} clips usable, in {cache}")
    if strict and counts["ok"] < counts["clips"]:
        raise SystemExit(3)


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
    import json

    from pipeline.page import check_target, report_page
    from schemas.files import write_atomic

    check_target(out, cache)
    page = report_page(cache, clips_per_group)
    write_atomic(out, page)
    if as_json:
        click.echo(json.dumps({"report": str(out), "bytes": len(page)}, indent=2))
    else:
        click.echo(f"{out}: {len(page) / 1e6:.1f} MB; open it in any browser")


@main.command()
@click.argument("cache", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def share(cache: Path, out: Path) -> None:
    """Write CACHE's landmark tables to OUT, without a picture, for others who hold the same videos."""
    from pipeline.share import share as copy_tables

    clips = copy_tables(cache, out)
    click.echo(f"landmarks of {clips} clips in {out}, for `pipeline extract SOURCE --reuse {out}`")


@main.command()
@click.argument("cache", type=click.Path(path_type=Path))
@JSON_OPTION
def verify(cache: Path, as_json: bool) -> None:
    """Check every byte of CACHE: checksums, schemas, counts and cross-references. Reads only."""
    import json
    from dataclasses import asdict

    from pipeline import verify as check
    from pipeline.report import one_line

    findings = list(check.verify(cache))
    counts = None if findings else asdict(check.count(cache))
    if as_json:
        found = [asdict(finding) for finding in findings]
        click.echo(
            json.dumps({"cache": str(cache), "holds": not findings, "counts": counts, "findings": found})
        )
    elif counts:
        click.echo(
            f"{cache} holds: {counts['clips']} clips, {counts['shards']} shards, {counts['files']} files"
        )
    else:
        for finding in findings:
            click.echo(one_line(f"{finding.file}: {finding.wrong}"))
    if findings:
        raise SystemExit(1)


@main.command()
@MODELS_OPTION
def doctor(models_folder: Path | None) -> None:
    """Say what this machine has and lacks, and how to mend each."""
    from pipeline.doctor import examine

    lacking = 0
    for finding in examine(models_folder):
        mark = click.style("ok  ", fg="green") if finding.ok else click.style("LACK", fg="red")
        click.echo(f"{mark}  {finding.name}: {finding.seen}")
        if finding.mend:
            click.echo(f"      mend: {finding.mend}")
        lacking += not finding.ok
    if lacking:
        raise SystemExit(1)
