"""RAVDESS: the file name says it all, seven numbers of two digits, e.g. 01-01-06-01-02-01-12.mp4.

Modality, channel, emotion, intensity, statement, repetition, actor. Modality 02 is the same footage as 01 without
sound; 03 is audio only.
"""

from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.clips_by_filename import clips_by_filename, mostly_named
from dfer.data_manifest.problems import report
from dfer.data_manifest.reader import Options, Reader, Rows

FORM = (
    r"^(?P<modality>0[1-3])-(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])"
    r"-(?P<statement>0[12])-(?P<repetition>0[12])-(?P<actor>[0-9]{2})$"
)
EXAMPLE = "01-01-06-01-02-01-12"
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
CHANNELS = {"01": "speech", "02": "song"}
INTENSITIES = {"01": "normal", "02": "strong"}
FOOTAGE = ("channel", "emotion", "intensity", "statement", "repetition", "actor")
AUDIO_ONLY = "03"


def fits(root: Path) -> bool:
    return mostly_named(root, FORM)


def read(root: Path, _: Options) -> Rows:
    """Read each footage once, with sound if there is such a file; a clip with another name has no label.

    Raises UserError if no name fits.
    """
    fields, problems = clips_by_filename(root, FORM, EXAMPLE)
    audio = (pl.col("known") & (pl.col("modality") == AUDIO_ONLY)).fill_null(False)
    problems += report("left out", "audio-only files, left out", fields.filter(audio)["path"])
    fields = fields.filter(~audio)
    silent = pl.col("known") & (pl.col("modality") != pl.col("modality").min().over(*FOOTAGE))
    text = "silent copies of videos with sound, left out"
    problems += report("left out", text, fields.filter(silent)["path"])
    rows = fields.filter(~silent.fill_null(False)).with_columns(
        clip_id=pl.when("known").then("stem").otherwise("path"),
        label=_named("emotion", EMOTIONS),
        subject="actor",
        scene=_named("channel", CHANNELS),
        intensity=_named("intensity", INTENSITIES),
    )
    return Rows(table=rows, problems=tuple(problems))


def _named(column: str, names: dict[str, str]) -> pl.Expr:
    return pl.col(column).replace_strict(names, default=None, return_dtype=pl.String)


READER = Reader(
    name="ravdess",
    title="RAVDESS, Ryerson Audio-Visual Database of Emotional Speech and Song",
    fits=fits,
    read=read,
    expects=(
        "Actor_<NN>/01-01-06-01-02-01-12.mp4, in any folders; modality 01 (with sound) or 02 (without)",
    ),
    traces=r"actor_\d\d|video_(speech|song)_actor_\d\d",
    protocol="no official split; 24 actors: train crossval --folds subject:6",
    classes=tuple(EMOTIONS.values()),
    counts="2452 videos with sound: 1440 of speech, 1012 of song",
    licence="Creative Commons BY-NC-SA 4.0",
    cite="Livingstone, Russo 2018, RAVDESS, PLoS ONE",
)
