"""`train predict`: what is to be classified, to one answer a clip, or several where several people were followed.

Videos, folders, tables and patterns are extracted into one cache (`extraction`); that and the caches that were given
are predicted by the same code.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from dfer.data_manifest.inputs import expand, read_inputs
from dfer.schemas.cache import INFO_FILE, NO_FACE, PERSON
from dfer.schemas.read_cache import read_landmarks
from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import Pool, open_pool, usable
from dfer.train.use.extraction import (
    ONE_PERSON,
    People,
    Watch,
    differences,
    extract_clips,
    folder_for,
    refuse_keeping_nothing,
    settings_for,
    shows_others,
    warnings,
    without_folder_names,
)
from dfer.train.use.model import Model
from dfer.train.use.over_time.face_track import FaceTrack, face_tracks
from dfer.train.use.over_time.windows import LIMITS, Windows, for_windows, shorter_than, sparse, window_rows
from dfer.train.use.prediction import Prediction, no_clip

if TYPE_CHECKING:
    from dfer.data_manifest.datasets import Manifest
    from dfer.pipeline.config import ExtractConfig

DEFAULT = "default"
Given = str | os.PathLike
Times = dict[str, tuple[float | None, ...]]


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """How to answer: the arguments of `Predictor.predict` of these names."""

    windows: Windows | None
    faces: bool
    watch: Watch


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
        people: int | str = 1,
        person: str | None = None,
        workers: int | None = None,
        windows: Windows | None = None,
        faces: bool = False,
        watch: Watch | None = None,
    ) -> tuple[Prediction, ...]:
        """Predict clips.

        given: a path or several: videos, images, folders, tables and patterns of such (`pipeline extract` reads the
            same), which are extracted as the model's training clips were; or caches, which are used as they are
        keep: folder to keep the extracted cache in; by default it is temporary
        frames_show: `scene` or `face`, if the clips show something else than the training clips
        people: of how many people to give an answer, or `all`; of a cache, all that it has
        person: whom to follow first: `heaviest`, `largest`, `center`, `longest`; by default as in the training clips
        workers: processes that extract; by default one per core
        windows: predict each window of a clip, not the clip as one
        faces: give each prediction the face that was followed, with its crops
        watch: functions to call with the progress

        Returns one prediction a clip (or window, and person), also for a clip that cannot be used, and one for an
        input without any clip.
        Raises UserError if a path does not exist, a cache cannot be used, or this machine cannot extract.
        """
        watch, keep = watch or Watch(), Path(keep) if keep else None
        asked, wanted = _Asked(windows=windows, faces=faces, watch=watch), People(number=people, first=person)
        paths = expand([Path(path) for path in ([given] if isinstance(given, Given) else given)])
        caches = list({path.resolve(): path for path in paths if (path / INFO_FILE).is_file()}.values())
        others = [path for path in paths if not (path / INFO_FILE).is_file()]
        refuse_keeping_nothing(keep, others)
        if caches and wanted != ONE_PERSON:
            watch.on_note("caches are used as they are; --people and --person are for videos")
        pools = [self._open(cache, asked) for cache in caches]
        found = read_inputs(others) if others else None
        answers: list[Prediction] = []
        if found and found.manifest:
            manifest = found.manifest if keep else without_folder_names(found.manifest, self.labels)
            config = settings_for(self.model, frames_show, watch, wanted)
            answers += self._extracted(manifest, config, keep, workers, asked)
        for pool in pools:
            if windows and (note := sparse(pool, windows, self.model.num_frames)):
                watch.on_note(note)
            answers += self._predict(pool, None, asked)
        refused = found.refused if found else ()
        return (*answers, *(no_clip(path, reason) for path, reason in refused))

    def _extracted(
        self,
        manifest: "Manifest",
        config: "ExtractConfig",
        keep: Path | None,
        workers: int | None,
        asked: _Asked,
    ) -> list[Prediction]:
        """Extract clips, and answer for them."""
        windows, watch = asked.windows, asked.watch
        config = for_windows(config, windows, self.model.num_frames) if windows else config
        with folder_for(keep) as cache:
            extract_clips(manifest, cache, config, workers, watch, LIMITS if windows else {})
            pool = open_pool(cache, people=True)
            short = windows and shorter_than(pool, windows, self.model.num_frames)
            for note in filter(None, (shows_others(pool), short, *warnings(pool))):
                watch.on_note(note)
            return list(self._predict(pool, manifest.root.absolute(), asked))

    def _open(self, cache: Path, asked: _Asked) -> Pool:
        pool = open_pool(cache, faces=asked.faces or self.model.needs_faces, people=True)
        other = differences(self.model.extraction, pool.caches[0].info.settings)
        if other and self.model.needs_faces:
            asked.watch.on_note(f"{cache}: {other}; the crops are resized, expect worse answers")
        return pool

    def _predict(self, pool: Pool, root: Path | None, asked: _Asked) -> Iterator[Prediction]:
        """The answers for all clips of a pool. root: the folder of their files, if it is known"""
        clips, windows, watch = usable(pool.clips), asked.windows, asked.watch
        tracks = face_tracks(pool, clips) if asked.faces else {}
        times, found = _frames_of(tracks) if asked.faces else _frames(pool, clips)
        if windows:
            clips = window_rows(clips, times, windows)
        watch.on_clips("predicting windows" if windows else "predicting", len(clips))
        rows = self.model.probabilities(pool, clips, lambda done: watch.on_done(done, 0)).tolist()
        answers: dict[str, list[tuple[Mapping, list[float]]]] = {}
        for row, answer in zip(clips.iter_rows(named=True), rows, strict=True):
            if windows and not any(found[row["clip_id"]][row["first_frame"] : row["end_frame"]]):
                row, answer = row | {"status": NO_FACE, "reason": "no face in this window"}, None
            answers.setdefault(row["clip_id"], []).append((row, answer))
        for clip in pool.clips.iter_rows(named=True):
            for row, answer in answers.get(clip["clip_id"], [(clip, None)]):
                shown = times.get(row["clip_id"], ())[row.get("first_frame") : row.get("end_frame")]
                where = {"path": root / row["path"]} if root else {"path": None, "cache": pool.folders[0]}
                yield self._prediction(row, answer, shown, where, tracks.get(row["clip_id"]))

    def _prediction(
        self,
        row: Mapping[str, Any],
        answer: list[float] | None,
        times: tuple[float | None, ...],
        where: Mapping[str, Path | None],
        face: FaceTrack | None,
    ) -> Prediction:
        """The answer for a row of a clips table, or of `window_rows`.

        times: of its frames
        where: its path and cache
        """
        return Prediction(
            clip=row["clip_id"] if row[PERSON] == 1 else row["clip_id"].removesuffix(f"#{row[PERSON]}"),
            person=row[PERSON],
            **where,
            warning=row["source_warning"],
            status=row["status"],
            reason=row["reason"],
            label=row["label"],
            predicted=self.labels[int(np.argmax(answer))] if answer else None,
            probabilities=dict(zip(self.labels, answer, strict=True)) if answer else None,
            start_s=row.get("start_s", times[0] if times else None),
            end_s=row.get("end_s", times[-1] if times else None),
            times=times,
            face=face,
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
        if device not in ("auto", "cpu"):  # it is computed on the CPU, so torch is not needed otherwise
            from dfer.train.engine.device import choose_device

            choose_device(device)
        from dfer.train.use.small_model import default_model

        return Predictor(model=default_model())
    if Path(run).suffix == ".onnx" or runtime != "torch":
        from dfer.train.use.exported import exported_network

        if device not in ("auto", "cpu"):
            raise UserError(f"ONNX files are computed on the CPU; leave out --device {device}")
        return Predictor(model=exported_network(Path(run), checkpoint, runtime, loader_workers))
    from dfer.train.use.network import run_network

    return Predictor(model=run_network(Path(run), checkpoint, device, loader_workers))


def _frames_of(tracks: Mapping[str, FaceTrack]) -> tuple[Times, dict[str, list[bool]]]:
    """As `_frames`, from faces that were read already."""
    times = {clip: _seconds(face.times) for clip, face in tracks.items()}
    return times, {clip: face.detected.tolist() for clip, face in tracks.items()}


def _frames(pool: Pool, clips: pl.DataFrame) -> tuple[Times, dict[str, list[bool]]]:
    """When the kept frames of each clip are shown, and whether a face was found in each, by the clip's id.

    clips: usable, of one cache
    """
    times, found = {}, {}
    for shard in clips["shard"].unique().sort():
        rows = read_landmarks(pool.folders[0], shard, ("clip_id", "frame", "time_s", "detector"))
        rows = rows.sort("clip_id", "frame").with_columns(found=pl.col("detector").is_not_null())
        by_clip = rows.group_by("clip_id", maintain_order=True).agg("time_s", "found")
        for clip, seconds, seen in by_clip.iter_rows():
            times[clip], found[clip] = _seconds(np.array(seconds, float)), seen
    return times, found


def _seconds(times: np.ndarray) -> tuple[float | None, ...]:
    """To a microsecond: some decoders give single precision. None for NaN"""
    return tuple(None if np.isnan(t) else round(float(t), 6) for t in times)
