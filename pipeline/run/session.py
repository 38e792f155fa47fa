"""What the extracting commands do: read the dataset, extract here or on a cluster, say what came of it."""

import json
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from dfer.data_manifest.counts import count
from dfer.data_manifest.datasets import AUTO, Manifest, read_manifest
from dfer.data_manifest.reader import Options
from dfer.pipeline.cache import folder, plan
from dfer.pipeline.cache.reuse import Reuse, open_reuse
from dfer.pipeline.config import SCENE, ExtractConfig
from dfer.pipeline.report.datasets import print_counts
from dfer.pipeline.run import cluster, extract, summary
from dfer.pipeline.run.progress import clip_progress
from dfer.pipeline.run.workers import Limits
from dfer.pipeline.setup.models import ModelPaths, obtain_all
from dfer.schemas.cache import OK, QUARANTINED, UNDECODABLE
from dfer.schemas.manifest import MISSING
from dfer.schemas.read_cache import read_cache_info
from dfer.schemas.support.commands import printable
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import target_file, write_parquet
from dfer.schemas.support.text import counted


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is extracted. path: a folder, a table or a list; dataset: a reader's name."""

    path: Path
    dataset: str = AUTO
    options: Options

    def manifest(self) -> Manifest:
        """Its manifest. Raises UserError."""
        return read_manifest(self.path, self.dataset, self.options)

    def read_for(self, config: ExtractConfig) -> Manifest:
        """The same as `read`, and a word where the settings are not those that the dataset is shipped for."""
        manifest = self.read()
        if manifest.face_crops and config.input == SCENE:
            text = "its frame folders are face crops; --input face is meant for them"
            click.echo(f"{manifest.dataset}: {text}", err=True)
        return manifest

    def read(self) -> Manifest:
        """Its manifest; what is wrong with its files is said on stderr. Raises UserError.

        A dataset of which nothing at all is on disk is a wrong folder, not one whose every clip is missing.
        """
        manifest = self.manifest()
        for problem in manifest.problems:
            click.echo(printable(f"{manifest.dataset}: {problem.line}"), err=True)
        if (manifest.clips["kind"] == MISSING).all():
            raise UserError(
                f"{self.path}: none of the {counted(len(manifest.clips), 'clip')} that its lists name is on disk; "
                f"the first would be {manifest.root / manifest.clips['path'][0]}: unpack the clips there, mend the "
                "start of the paths in the lists, or give the folder above both"
            )
        return manifest


@dataclass(frozen=True, kw_only=True)
class Means:
    """With what it is extracted; none of it changes the cache. worker_memory: GB; clip_timeout: seconds."""

    models_folder: Path | None
    reuse: tuple[Path, ...]
    clip_timeout: float
    worker_memory: float

    def __post_init__(self) -> None:
        _ = self.limits  # refuse wrong ones before anything is made

    @property
    def limits(self) -> Limits:
        return Limits(clip_timeout=self.clip_timeout, worker_memory=1e9 * self.worker_memory)

    def open(self, landmark_hash: str) -> tuple[ModelPaths, Reuse | None]:
        """The model files and the earlier caches, checked. Raises UserError."""
        return obtain_all(self.models_folder), open_reuse(self.reuse, landmark_hash)

    def as_options(self) -> list[str]:
        """The same as options of `pipeline shard`."""
        folders = [("--models", self.models_folder)] if self.models_folder else []
        folders += [("--reuse", folder) for folder in self.reuse]
        numbers = [("--clip-timeout", self.clip_timeout), ("--worker-memory", self.worker_memory)]
        places = [part for name, folder in folders for part in (name, str(folder.resolve()))]
        return [*places, *(str(part) for option in numbers for part in option)]


def extract_here(
    source: Source,
    cache: Path,
    config: ExtractConfig,
    means: Means,
    worker_count: int,
    part: extract.Slice | None,
    retry: bool,
) -> extract.Outcome:
    """Extract a dataset, or one slice of it, with worker processes of this machine. Raises UserError."""
    manifest = source.read_for(config)
    models, reuse = means.open(extract.landmark_hash(config))
    with clip_progress() as (on_start, on_clip):
        return extract.extract(
            manifest,
            manifest.root,
            cache,
            config,
            models,
            worker_count=worker_count,
            limits=means.limits,
            reuse=reuse,
            part=part,
            retry=retry,
            on_start=on_start,
            on_clip=lambda clip: on_clip(1, clip.status != OK),
        )


def extract_on_cluster(
    source: Source, cache: Path, config: ExtractConfig, means: Means, address: str
) -> extract.Outcome:
    """Extract a dataset on the Dask cluster at an address. Raises UserError."""
    manifest = source.read_for(config)
    with extract.begun(manifest, cache, config) as (info, planned):
        to_do = list(plan.shards_to_do(cache, planned, info.settings_hash))
        shards = [(shard.index, len(shard.clip_ids)) for shard in to_do]
        if shards:
            options = means.as_options()
            with clip_progress() as (on_start, on_clip):
                on_start(sum(clips for _, clips in shards))
                cluster.run_on_cluster(
                    address, cache, manifest.root, shards, options, lambda clips: on_clip(clips, 0)
                )
        clips = folder.finalize(cache, manifest, planned)
    return extract.Outcome(clips=clips, extracted=sum(clips for _, clips in shards), reused=None)


def extract_shard(cache: Path, source: Path, index: int, means: Means) -> None:
    """Extract one shard of a cache that was begun elsewhere. Raises UserError."""
    models, reuse = means.open(read_cache_info(cache).landmark_hash)
    extract.extract_shard(cache, source, index, models, means.limits, reuse)


def show_manifest(source: Source, out: Path | None, as_json: bool) -> None:
    """Print the counts of a dataset's manifest, and write it where a Parquet file is named. Raises UserError."""
    target = target_file(out, suffixes=(".parquet",)) if out else None
    if target == source.path.resolve():
        raise UserError(f"--out {out} is what is read; name another file")
    manifest = source.manifest()
    if target:
        write_parquet(target, manifest.clips)
    counts = count(manifest)
    if as_json:
        written = {"manifest": str(out)} if out else {}
        click.echo(json.dumps({**written, **counts}, indent=2, ensure_ascii=False))
        return
    print_counts(counts, manifest.problems, Console())
    if out:
        click.echo(f"{counted(len(manifest.clips), 'clip')} in {out}")


def show(outcome: extract.Outcome, cache: Path, as_json: bool) -> bool:
    """Print what came of an extraction; whether every clip is usable, as far as that is known."""
    counts = summary.summarise(outcome.clips) if outcome.clips is not None else {}
    if as_json:
        done = {"cache": str(cache), "extracted": outcome.extracted, "reused": outcome.reused}
        click.echo(json.dumps({**done, **counts}, indent=2))
    elif outcome.clips is None:
        click.echo(
            f"this slice is done ({counted(outcome.extracted, 'clip')} extracted now); after the last one: "
            f"pipeline finalize {cache}"
        )
    elif not outcome.extracted:
        done = "tables updated, no clip extracted" if outcome.updated else "nothing to do"
        click.echo(f"{done}: {cache} holds {counted(counts['clips'], 'clip')} ({counts['ok']} usable)")
    else:
        summary.print_summary(outcome.clips, Console())
        if outcome.reused:
            extracted = counted(outcome.extracted, "extracted clip")
            click.echo(f"landmarks of {outcome.reused} of {extracted} were reused")
        dataset, clips = read_cache_info(cache).dataset, counted(counts["clips"], "clip")
        click.echo(f"{counts['ok']} of {clips} usable, of the dataset {dataset}, in {cache}")
    unread = {status: counts[status] for status in (QUARANTINED, UNDECODABLE) if counts.get(status)}
    if unread and not as_json:
        listed = " and ".join(counted(number, f"{status} clip") for status, number in unread.items())
        click.echo(f"{listed}: the same command with --retry tries again")
    return not counts or counts["ok"] == counts["clips"]
