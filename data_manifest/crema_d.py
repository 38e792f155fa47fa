"""CREMA-D: everything is in the file name, `<actor>_<sentence>_<emotion>_<level>`, e.g. 1001_DFA_ANG_XX.flv.

91 actors, six emotions, no official split (Cao et al. 2014).
"""

import re
from pathlib import Path

import polars as pl

from data_manifest.files import find_clips, first_videos
from data_manifest.readers import Options, Reader, Rows

FORM = r"^(?P<actor>1\d{3})_[A-Z]{3}_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(?P<level>LO|MD|HI|XX|X)$"
NAME = re.compile(FORM)
EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
LOOKED_AT = 100  # clips, to recognise the dataset


def fits(root: Path) -> bool:
    """Whether most of the first videos have a CREMA-D name."""
    stems = [Path(path).stem for path in first_videos(root, LOOKED_AT)]
    return 2 * sum(NAME.fullmatch(stem) is not None for stem in stems) > len(stems)


def read(root: Path, _: Options) -> Rows:
    """All clips; one whose name is of another form has no label and keeps its path as id."""
    stem = pl.col("path").str.extract(r"([^/]+?)(?:\.[^./]+)?$", 1)
    found = find_clips(root).with_columns(stem=stem)
    fields = found.with_columns(pl.col("stem").str.extract_groups(FORM).alias("fields")).unnest("fields")
    rows = fields.with_columns(
        clip_id=pl.when(pl.col("actor").is_null()).then("path").otherwise("stem"),
        label=pl.col("emotion").replace_strict(EMOTIONS, default=None, return_dtype=pl.String),
        subject="actor",
        intensity=pl.col("level").replace({"X": "XX"}),  # one file of the release lacks an X
    )
    return Rows(table=rows)


READER = Reader(
    name="crema-d",
    title="CREMA-D, Crowd-sourced Emotional Multimodal Actors Dataset",
    fits=fits,
    read=read,
    expects=("VideoFlash/<actor>_<sentence>_<emotion>_<level>.flv, e.g. 1001_DFA_ANG_XX.flv",),
    protocol="no official split; 91 actors: train crossval --folds subject:5",
    classes=tuple(EMOTIONS.values()),
    counts="7442 clips",
    licence="Open Database License, with the Database Contents License",
    cite="Cao, Cooper, Keutmann, Gur, Nenkova, Verma 2014, CREMA-D, IEEE Transactions on Affective Computing",
)
