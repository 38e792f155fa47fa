"""CREMA-D: the file name says it all, `<actor>_<sentence>_<emotion>_<level>`, e.g. 1001_DFA_ANG_XX.flv.

91 actors, six emotions, no official split (Cao et al. 2014).
"""

from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.clips_by_filename import clips_by_filename, mostly_named
from dfer.data_manifest.reader import Options, Reader, Rows

FORM = r"^(?P<actor>1[0-9]{3})_[A-Z]{3}_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(?P<level>LO|MD|HI|XX|X)$"
EXAMPLE = "1001_DFA_ANG_XX"
EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}


def fits(root: Path) -> bool:
    return mostly_named(root, FORM)


def read(root: Path, _: Options) -> Rows:
    """Read all clips; one with another name has no label, and its path as id.

    Raises UserError if no name fits.
    """
    fields, problems = clips_by_filename(root, FORM, EXAMPLE, preferred="VideoFlash")
    rows = fields.with_columns(
        clip_id=pl.when("known").then("stem").otherwise("path"),
        label=pl.col("emotion").replace_strict(EMOTIONS, default=None, return_dtype=pl.String),
        subject="actor",
        intensity=pl.col("level").replace({"X": "XX"}),  # one file of the release lacks an X
    )
    return Rows(table=rows, problems=tuple(problems))


READER = Reader(
    name="crema-d",
    title="CREMA-D, Crowd-sourced Emotional Multimodal Actors Dataset",
    fits=fits,
    read=read,
    expects=("<actor>_<sentence>_<emotion>_<level>.flv, e.g. VideoFlash/1001_DFA_ANG_XX.flv",),
    traces="videoflash",
    protocol="no official split; 91 actors: train crossval --folds subject:5",
    classes=tuple(EMOTIONS.values()),
    counts="7442 clips",
    licence="Open Database License, with the Database Contents License",
    cite="Cao, Cooper, Keutmann, Gur, Nenkova, Verma 2014, CREMA-D, IEEE Transactions on Affective Computing",
)
