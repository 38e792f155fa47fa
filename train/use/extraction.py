"""Clips to a landmark cache, by the pipeline's own run, in the way that a model's training clips were extracted."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import FULL
from dfer.schemas.support.text import first_and_more
from dfer.train.data.caches import Pool, usable
from dfer.train.use.model import Model
from dfer.train.use.private_folder import private_folder

if TYPE_CHECKING:
    from dfer.data_manifest.datasets import Manifest
    from dfer.pipeline.config import ExtractConfig

SHOWN_AS = {
    "size": "--size",
    "margin": "--margin",
    "align": "--align",
}  # settings that decide what a crop shows

ANOTHER = "show another person"  # in the warning of a clip in which one person was followed
MOST_WARNINGS = 5  # printed


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Functions to call while a prediction runs; by default they do nothing.

    on_note: called with a line for a person to read
    on_clips: called with a word for what is done ("extracting", "predicting") and the number of clips to do; or of
        windows, with "predicting windows", or of frames, with "drawing frames"
    on_done: called with the number of these just done and how many of them are unusable
    """

    on_note: Callable[[str], None] = lambda line: None
    on_clips: Callable[[str, int], None] = lambda doing, clips: None
    on_done: Callable[[int, int], None] = lambda clips, unusable: None


@dataclass(frozen=True, kw_only=True)
class People:
    """Whom to answer for in a clip.

    number: how many people, or `all`
    first: whom to follow first, `heaviest`, `largest`, `center` or `longest`; None: as in the training clips
    """

    number: int | str = 1
    first: str | None = None


ONE_PERSON = People()


def settings_for(
    model: Model, frames_show: str | None, watch: Watch, people: People = ONE_PERSON
) -> "ExtractConfig":
    """The settings to extract clips with for a model: those of its training clips.

    frames_show: `scene` or `face`, if the clips show something else than the training clips

    Raises UserError if they are unknown, or if there cannot be as many people.
    """
    from dfer.pipeline.cache.info import config_from
    from dfer.pipeline.config import FACE

    if model.extraction is None:
        raise UserError(
            f"{model.name} does not say how its clips were extracted (an earlier version made it); extract with the "
            "settings of its cache, and give that cache"
        )
    config = config_from(model.extraction, model.name)
    config = dataclasses.replace(config, people=people.number, person=people.first or config.person)
    if frames_show:
        return dataclasses.replace(config, input=frames_show)
    if config.input == FACE:
        watch.on_note(
            f"{model.name} was trained on face crops (--input face), and what you give is taken for such crops; for "
            "videos of more than a face add --input scene"
        )
    return config


def extract_clips(
    manifest: "Manifest",
    cache: Path,
    config: "ExtractConfig",
    workers: int | None,
    watch: Watch,
    limits: Mapping[str, float],
) -> None:
    """Extract clips into a cache; one that is finished stays as it is. Raises UserError as `pipeline extract`.

    limits: fields of `RunOptions` that a clip needs more of than by default
    """
    from dfer.pipeline.cache.plan import default_shard_clips
    from dfer.pipeline.config import RunOptions
    from dfer.pipeline.run.extract import extract
    from dfer.pipeline.run.terminal import problem_lines

    for line in problem_lines(manifest, config):
        watch.on_note(line)
    extract(
        manifest,
        cache,
        dataclasses.replace(config, shard_clips=default_shard_clips(manifest.clips)),
        RunOptions(workers=workers, **limits),
        on_start=lambda clips: watch.on_clips("extracting", clips),
        on_done=watch.on_done,
    )


def without_folder_names(manifest: "Manifest", classes: Sequence[str]) -> "Manifest":
    """Leave out labels if none of them is one of the classes: they are names of folders that only sort files."""
    from dfer.data_manifest.labels import match_labels

    if not manifest.labels or any(match_labels(classes, manifest.labels).values()):
        return manifest
    return dataclasses.replace(
        manifest,
        labels=(),
        clips=manifest.clips.with_columns(pl.lit(None, pl.String).alias("label")),
        problems=tuple(each for each in manifest.problems if each.kind != "labels"),
    )


def warnings(pool: Pool) -> list[str]:
    """What was wrong with clips that can be used nevertheless, for a person: damage, a doubtful face."""
    warned = usable(pool.clips).filter(
        pl.col("source_warning").is_not_null() & ~pl.col("source_warning").str.contains(ANOTHER)
    )
    lines = [f"{clip}: {text}" for clip, text in warned.select("clip_id", "source_warning").iter_rows()]
    more = [
        f"{len(lines) - MOST_WARNINGS} more clips with a warning; --csv and --json have the column warning"
    ]
    return lines if len(lines) <= MOST_WARNINGS + 1 else lines[:MOST_WARNINGS] + more


def shows_others(pool: Pool) -> str | None:
    """Say which clips show somebody else for a while, where only one person was followed; None if there are none."""
    clips = pool.clips.filter(pl.col("source_warning").str.contains(ANOTHER))["clip_id"]
    if not len(clips):
        return None
    return f"{first_and_more(clips)}: another person is shown too; --people all answers for each"


def differences(trained: Mapping[str, Any] | None, cache: Mapping[str, Any]) -> str | None:
    """How the crops of a cache differ from those that a model was trained on, for a person; None if they do not."""
    if trained is None:
        return None
    flags = [
        (f"{flag} {cache.get(name)}", f"{flag} {trained.get(name)}")
        for name, flag in SHOWN_AS.items()
        if cache.get(name) != trained.get(name)
    ]
    if not flags:
        return None
    here, there = (" ".join(side) for side in zip(*flags, strict=True))
    return f"extracted with {here}, the model's training clips with {there}"


@contextmanager
def folder_for(keep: Path | None) -> Iterator[Path]:
    """The folder for a cache: the one to keep, or a private temporary one that is removed however the block ends.

    Raises UserError if a temporary one has no room.
    """
    if keep:
        yield keep
        return
    try:
        with private_folder("dfer-predict") as folder:
            yield folder / "cache"
    except UserError as error:  # its advice is for caches that stay
        cause = error.__cause__
        if not (isinstance(cause, OSError) and cause.errno in FULL):
            raise
        raise UserError(
            f"cannot write to the temporary folder {folder.parent}: {cause.strerror}; make room, set TMPDIR to "
            "another folder, or give --keep CACHE"
        ) from cause


def refuse_keeping_nothing(keep: Path | None, to_extract: Sequence[Path]) -> None:
    """Raise UserError for a folder to keep a cache in if there is nothing to extract."""
    if keep and not to_extract:
        raise UserError(f"--keep {keep}: only caches were given, so nothing is extracted; leave it out")
