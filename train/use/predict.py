"""`train predict`: what is to be classified, to one answer a clip.

Videos, folders, tables and patterns are extracted into one cache (`extraction`); that and the caches that were given
are predicted by the same code.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from dfer.data_manifest.inputs import expand, read_inputs
from dfer.schemas.cache import INFO_FILE, OK, SHARD_FILES, UNDECODABLE
from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import Pool, open_pool, usable
from dfer.train.use.extraction import (
    Watch,
    differences,
    extract_clips,
    folder_for,
    refuse_keeping_nothing,
    settings_for,
)
from dfer.train.use.model import Model

DEFAULT = "default"
Given = str | os.PathLike


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The answer for a clip.

    clip: its id
    path: where its file is; None for a clip of a cache that was given
    status: `ok`, or why there is no answer: `no_face`, `undecodable`, `quarantined`
    reason: the same in words; None if there is an answer
    label: the class that it is known to have; None if unknown
    predicted: the most probable class; None without an answer
    probabilities: of each class, in the model's order, sum 1; None without an answer
    times: when the frames that are kept of it are shown, seconds from its first frame; None where unknown
    """

    clip: str
    path: Path | None
    status: str
    reason: str | None = None
    label: str | None = None
    predicted: str | None = None
    probabilities: Mapping[str, float] | None = None
    times: tuple[float | None, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A model that is ready to predict."""

    model: Model

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's class names."""
        return self.model.labels

    def predict(
        self,
        given: Given | Sequence[Given],
        *,
        keep: Given | None = None,
        frames_show: str | None = None,
        workers: int | None = None,
        watch: Watch | None = None,
    ) -> tuple[Prediction, ...]:
        """Predict clips.

        given: a path or several: videos, images, folders, tables and patterns of such (`pipeline extract` reads the
            same), which are extracted as the model's training clips were; or caches, which are used as they are
        keep: folder to keep the extracted cache in; by default it is temporary
        frames_show: `scene` or `face`, if the clips show something else than the training clips
        workers: processes that extract; by default one per core
        watch: functions to call with the progress

        Returns one prediction a clip, also for one that cannot be used, and one for an input without any clip.
        Raises UserError if a path does not exist, a cache cannot be used, or this machine cannot extract.
        """
        watch, keep = watch or Watch(), Path(keep) if keep else None
        paths = expand([Path(path) for path in ([given] if isinstance(given, Given) else given)])
        caches = list({path.resolve(): path for path in paths if (path / INFO_FILE).is_file()}.values())
        others = [path for path in paths if not (path / INFO_FILE).is_file()]
        refuse_keeping_nothing(keep, others)
        pools = [self._open(cache, watch) for cache in caches]
        found = read_inputs(others) if others else None
        answers: list[Prediction] = []
        with ExitStack() as stack:
            if found and found.manifest:
                config = settings_for(self.model, frames_show, watch)
                cache = stack.enter_context(folder_for(keep))
                extract_clips(found.manifest, cache, config, workers, watch)
                answers += self._predict(open_pool(cache), found.manifest.root, watch)
        for pool in pools:
            answers += self._predict(pool, None, watch)
        refused = found.refused if found else ()
        return (*answers, *(_no_clip(path, reason) for path, reason in refused))

    def _open(self, cache: Path, watch: Watch) -> Pool:
        pool = open_pool(cache, faces=self.model.needs_faces)
        other = differences(self.model.extraction, pool.caches[0].info.settings)
        if other and self.model.needs_faces:
            watch.on_note(f"{cache}: {other}; the crops are resized, expect worse answers")
        return pool

    def _predict(self, pool: Pool, root: Path | None, watch: Watch) -> Iterator[Prediction]:
        """The answers for all clips of a pool. root: the folder of their files, if it is known"""
        clips = usable(pool.clips)
        watch.on_clips("predicting", len(clips))
        rows = self.model.probabilities(pool, clips, lambda done: watch.on_done(done, 0)).tolist()
        times, answers = _times(pool, clips), dict(zip(clips["clip_id"], rows, strict=True))
        for row in pool.clips.iter_rows(named=True):
            answer = answers.get(row["clip_id"])
            yield Prediction(
                clip=row["clip_id"],
                path=root / row["path"] if root else None,
                status=row["status"],
                reason=row["reason"],
                label=row["label"],
                predicted=self.labels[int(np.argmax(answer))] if answer else None,
                probabilities=dict(zip(self.labels, answer, strict=True)) if answer else None,
                times=times.get(row["clip_id"], ()),
            )


def load(
    run: Given,
    *,
    checkpoint: str = "last",
    device: str = "auto",
    loader_workers: int = 0,
    runtime: str = "torch",
) -> Predictor:
    """Load a model to predict with.

    run: the folder of a run, an .onnx file of `train export`, or `default` for the small model that comes with the
        package
    checkpoint: `last` or `best`, the epoch of the run
    device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`
    loader_workers: processes that decode JPEGs
    runtime: `torch`; `onnx` or `int8`: the file that `train export` wrote into the run's folder, on the CPU

    Raises UserError if there is no such run, or it is damaged.
    """
    if str(run) == DEFAULT:
        if runtime != "torch":
            raise UserError(f"the small model has no file for --runtime {runtime}; leave it out")
        from dfer.train.use.small_model import default_model

        return Predictor(model=default_model())
    if Path(run).suffix == ".onnx" or runtime != "torch":
        from dfer.train.use.exported import exported_network

        if device not in ("auto", "cpu"):
            raise UserError(f"ONNX files are computed on the CPU; leave out --device {device}")
        return Predictor(model=exported_network(Path(run), checkpoint, runtime, loader_workers))
    from dfer.train.use.network import Network

    return Predictor(model=Network(Path(run), checkpoint, device, loader_workers))


def all_answered(predictions: Sequence[Prediction]) -> bool:
    """Whether there is an answer for every clip."""
    return all(prediction.status == OK for prediction in predictions)


def as_table(predictions: Sequence[Prediction], labels: Sequence[str]) -> pl.DataFrame:
    """The predictions as a table: a column for each field, start_s and end_s, and p_<label> of each class."""
    texts = ("clip", "path", "status", "reason", "label", "predicted")
    columns = {
        name: pl.Series([_text(getattr(each, name)) for each in predictions], dtype=pl.String)
        for name in texts
    }
    for name, place in (("start_s", 0), ("end_s", -1)):
        ends = [each.times[place] if each.times else None for each in predictions]
        columns[name] = pl.Series(ends, dtype=pl.Float64)
    for label in labels:
        shares = [each.probabilities[label] if each.probabilities else None for each in predictions]
        columns[f"p_{label}"] = pl.Series(shares, dtype=pl.Float64)
    return pl.DataFrame(columns)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _no_clip(path: Path, reason: str) -> Prediction:
    """The answer for an input without any clip. Its name may not be UTF-8, which no table can store."""
    name = os.fsencode(path).decode("utf-8", "backslashreplace")
    return Prediction(clip=name, path=Path(name), status=UNDECODABLE, reason=reason)


def _times(pool: Pool, clips: pl.DataFrame) -> dict[str, tuple[float | None, ...]]:
    """When the kept frames of each clip are shown, by the clip's id. clips: usable, of one cache"""
    times: dict[str, tuple[float | None, ...]] = {}
    for shard in clips["shard"].unique().sort():
        path = pool.folders[0] / SHARD_FILES["landmarks"].format(shard)
        try:
            rows = pl.read_parquet(path, columns=["clip_id", "frame", "time_s"], glob=False)
            by_clip = rows.sort("clip_id", "frame").group_by("clip_id", maintain_order=True).agg("time_s")
        except (OSError, pl.exceptions.PolarsError) as error:
            raise UserError(f"{path} is missing or damaged ({type(error).__name__}); extract again") from None
        times |= {clip: tuple(seconds) for clip, seconds in by_clip.iter_rows()}
    return times
