"""Open one or several landmark caches for training, as one table of clips with one list of classes."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dfer.data_manifest.labels import meaning
from dfer.schemas.cache import CLIPS_FILE, INFO_FILE, OK, CacheInfo
from dfer.schemas.keypoints import KeypointSet
from dfer.schemas.manifest import votes_fit
from dfer.schemas.read_cache import read_cache_info, read_clips, require_faces
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted


class Cache:
    """One open cache: what made it, and its clips."""

    def __init__(self, folder: Path, *, faces: bool = True, people: bool = False) -> None:
        """Open a cache.

        faces: whether its crops are needed; `pipeline share` leaves them out
        people: as for `open_pool`

        Raises UserError if the folder is not a finished cache that this program can read.
        """
        self.folder = folder
        self.info: CacheInfo = read_cache_info(folder)
        if faces:
            require_faces(folder)
        self.clips: pl.DataFrame = read_clips(folder, people=people)
        if not self.clips.select(votes_fit(len(self.info.labels)).fill_null(False).all()).item():
            raise UserError(f"{folder / CLIPS_FILE}: its votes do not fit its labels; extract again")
        others = self.clips.filter(~pl.col("label").is_in(self.info.labels))["label"]
        if len(others):
            raise UserError(
                f"{folder / CLIPS_FILE}: the label {others[0]} is not one of {INFO_FILE}'s; extract again"
            )

    @property
    def has_expressions(self) -> bool:
        """Whether it was extracted with MediaPipe's expression scores."""
        return self.info.settings.get("blendshapes") is True


@dataclass(frozen=True, kw_only=True)
class Pool:
    """One or several caches as the rest of `train` sees them.

    clips: the caches' clips tables, one after the other, with `cache` (number of the clip's cache) and `stored_id`
        (its id in that cache). With several caches there is also `dataset`, and clip_id and subject start with its
        name: two datasets may use the same ids, but not for the same people.
    labels: the classes. With one cache its labels; with several, a class that they spell differently gets its
        canonical name. The clips' votes are in this order.
    notes: how the caches fit together, one line each, for a person to read
    """

    caches: tuple[Cache, ...]
    labels: tuple[str, ...]
    clips: pl.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(cache.folder for cache in self.caches)

    @property
    def where(self) -> str:
        """The folders, for a message."""
        return ", ".join(map(str, self.folders))

    @property
    def dataset(self) -> str:
        return " + ".join(_names(self.caches))

    @property
    def settings_hash(self) -> str:
        """The caches' settings hashes, which stand for everything that decided their bytes."""
        return " + ".join(cache.info.settings_hash for cache in self.caches)

    @property
    def extraction(self) -> list[dict[str, Any]]:
        """The settings that each cache was extracted with, to extract other clips in the same way."""
        return [dict(cache.info.settings) for cache in self.caches]

    @property
    def crop_size(self) -> int:
        """Side of the stored crops, pixels."""
        return self.caches[0].info.crop_size

    @property
    def keypoints(self) -> KeypointSet:
        """The caches' key-point set."""
        return self.caches[0].info.keypoints

    @property
    def without_expressions(self) -> tuple[Path, ...]:
        """The caches that were extracted without MediaPipe's expression scores."""
        return tuple(cache.folder for cache in self.caches if not cache.has_expressions)

    @property
    def scores_left_out(self) -> str | None:
        """Why nothing uses expression scores, for a person to read; None if all caches have them."""
        lacking = [*map(str, self.without_expressions)]
        if not lacking:
            return None
        has = "has" if len(lacking) == 1 else "have"
        return (
            f"expression scores are left out, because {', '.join(lacking)} {has} none "
            "(`pipeline extract --blendshapes` adds them)"
        )

    def require_expressions(self) -> None:
        """Raise UserError unless all caches have MediaPipe's expression scores."""
        if self.without_expressions:
            raise UserError(
                f"{self.without_expressions[0]} has no expression scores, which the network needs; "
                "extract with --blendshapes, or train with --expression-scores off"
            )


def open_pool(*folders: Path, faces: bool = True, people: bool = False) -> Pool:
    """Open caches to use together, in this order.

    faces: whether their crops are needed
    people: with a row for each person in a clip, and the column `person`; a clip's label is only for the first, and
        only the first is ever trained on or tested

    Raises UserError for a folder that is not a cache or is given twice, and for caches with different crop sizes or
    key-point sets.
    """
    caches = tuple(Cache(folder, faces=faces, people=people) for folder in folders)
    tables = [
        cache.clips.with_columns(cache=pl.lit(number, pl.Int32), stored_id="clip_id")
        for number, cache in enumerate(caches)
    ]
    if len(caches) == 1:
        return Pool(caches=caches, labels=caches[0].info.labels, clips=tables[0])
    _refuse_misfits(caches)
    names, classes = _names(caches), _common_classes([cache.info.labels for cache in caches])
    labels = tuple(dict.fromkeys(classes.values()))
    clips = pl.concat(
        _as_part(table, name, classes).with_columns(votes=_votes(cache.info.labels, classes, labels))
        for table, name, cache in zip(tables, names, caches, strict=True)
    )
    return Pool(
        caches=caches,
        labels=labels,
        clips=clips,
        notes=(*_renamed(caches, names, classes), *_repeated(clips)),
    )


def usable(clips: pl.DataFrame) -> pl.DataFrame:
    """Keep the rows of a clips table that have crops."""
    return clips.filter(pl.col("status") == OK)


def with_label(clips: pl.DataFrame) -> pl.DataFrame:
    """Keep the rows of a clips table or a prediction table that have a label."""
    return clips.filter(pl.col("label").is_not_null())


def fingerprints(clips: pl.DataFrame) -> pl.DataFrame:
    """List which files each cache has: the distinct `fingerprint` and `cache` of usable clips."""
    known = usable(clips).filter(pl.col("fingerprint").is_not_null())
    return known.select("fingerprint", "cache").unique()


def _refuse_misfits(caches: Sequence[Cache]) -> None:
    first = caches[0]
    for place, cache in enumerate(caches):
        if cache.folder.resolve() in [other.folder.resolve() for other in caches[:place]]:
            raise UserError(f"{cache.folder} is given twice; give each cache once")
        size, other = cache.info.crop_size, first.info.crop_size
        if size != other:
            raise UserError(
                f"{first.folder} has crops of {other} px, {cache.folder} of {size} px; extract one of them again "
                f"with --size {other} or {size} (--reuse makes that quick)"
            )
        if cache.info.keypoint_set != first.info.keypoint_set:
            raise UserError(
                f"{first.folder} has the key-points {first.info.keypoint_set}, {cache.folder} "
                f"{cache.info.keypoint_set}; use caches with the same key-points"
            )


def _names(caches: Sequence[Cache]) -> list[str]:
    """Name each cache by its dataset; a dataset that occurs again gets a number."""
    given = [cache.info.dataset for cache in caches]
    before = [given[:place].count(name) for place, name in enumerate(given)]
    return [f"{name} {count + 1}" if count else name for name, count in zip(given, before, strict=True)]


def _common_classes(of_caches: Sequence[Sequence[str]]) -> dict[str, str]:
    """Map each label to its name in the pool: unchanged if all caches spell it so, else its canonical name."""
    spellings: dict[str, list[str]] = {}
    for label in dict.fromkeys(itertools.chain(*of_caches)):
        spellings.setdefault(meaning(label), []).append(label)
    return {
        label: common if len(labels) > 1 else label
        for common, labels in spellings.items()
        for label in labels
    }


def _as_part(clips: pl.DataFrame, name: str, classes: dict[str, str]) -> pl.DataFrame:
    """Turn a cache's clips table into its part of a pool's."""
    own = {column: pl.concat_str(pl.lit(f"{name}/"), column) for column in ("clip_id", "subject")}
    return clips.with_columns(pl.col("label").replace(classes), dataset=pl.lit(name), **own)


def _votes(own: Sequence[str], classes: dict[str, str], labels: Sequence[str]) -> pl.Expr:
    """A cache's votes (one per label of `own`) in the order of the pool's labels, 0 for those it does not have."""
    of_label = {
        label: [pl.col("votes").list.get(place) for place, name in enumerate(own) if classes[name] == label]
        for label in labels
    }
    sums = [pl.sum_horizontal(votes) if votes else pl.lit(0.0) for votes in of_label.values()]
    return pl.when(pl.col("votes").is_not_null()).then(pl.concat_list(sums))


def _renamed(caches: Sequence[Cache], names: Sequence[str], classes: dict[str, str]) -> list[str]:
    """Note which labels got their canonical names."""
    changed = []
    for cache, name in zip(caches, names, strict=True):
        pairs = [f"{label} → {classes[label]}" for label in cache.info.labels if classes[label] != label]
        if pairs:
            changed.append(f"{name}: {', '.join(pairs)}")
    if not changed:
        return []
    return [f"the caches spell classes differently; using canonical names ({'; '.join(changed)})"]


def _repeated(clips: pl.DataFrame) -> list[str]:
    """Warn about clips in several caches, which count twice."""
    holders = fingerprints(clips).group_by("fingerprint").len()
    count = len(holders.filter(pl.col("len") > 1))
    return [f"warning: {counted(count, 'clip')} in more than one cache (same file content)"] if count else []
