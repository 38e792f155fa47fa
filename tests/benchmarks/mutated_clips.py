"""Extract ten thousand damaged clips: each must get a status, and no clip may disturb the run.

    PYTHONPATH=tests/helpers python tests/benchmarks/mutated_clips.py OUT [--clips 10000] [--batch 1000] [--workers 2]

Clips of a face in 18 video formats and as frame folders are damaged (`tests/helpers/mutations.py`) and extracted in
batches, a cache each. Checked of each batch: exit code 0, nothing on stderr, no process left, a valid cache, a row
with a known status for each clip, a reason for each that is not ok, and a face in each clip that was not damaged.
Clips that were quarantined are copied to OUT/quarantined, and a batch with a problem is kept; the rest is removed.
`--minutes` ends early; the same command continues.
"""

import io
import json
import random
import shutil
from collections import Counter
from pathlib import Path

import av
import numpy as np
import polars as pl
from endurance import Record, arguments, conclude, run_parts
from made_up_clips import face_frames
from mutations import MUTATIONS, Clip, mutate
from sessions import Ended, installed, run_command

from dfer.schemas.cache import OK, QUARANTINED, STATUSES

# label: suffix, PyAV's container, codec, pixel format; some with sound
FORMATS = {
    "mp4-h264": (".mp4", "mp4", "libx264", "yuv420p"),
    "mp4-mpeg4": (".mp4", "mp4", "mpeg4", "yuv420p"),
    "m4v-hevc": (".m4v", "mp4", "libx265", "yuv420p"),
    "3gp-mpeg4": (".3gp", "3gp", "mpeg4", "yuv420p"),
    "mov-h264": (".mov", "mov", "libx264", "yuv420p"),
    "mov-prores": (".mov", "mov", "prores_ks", "yuv422p10le"),
    "mkv-h264": (".mkv", "matroska", "libx264", "yuv420p"),
    "webm-vp9": (".webm", "webm", "libvpx-vp9", "yuv420p"),
    "webm-vp8": (".webm", "webm", "libvpx", "yuv420p"),
    "ogv-vp8": (".ogv", "ogg", "libvpx", "yuv420p"),
    "avi-mjpeg": (".avi", "avi", "mjpeg", "yuvj420p"),
    "avi-mpeg4": (".avi", "avi", "mpeg4", "yuv420p"),
    "gif": (".gif", "gif", "gif", "rgb8"),
    "flv-flv1": (".flv", "flv", "flv1", "yuv420p"),
    "flv-h264": (".flv", "flv", "libx264", "yuv420p"),
    "ts-h264": (".ts", "mpegts", "libx264", "yuv420p"),
    "mpg-mpeg1": (".mpg", "mpeg", "mpeg1video", "yuv420p"),
    "wmv": (".wmv", "asf", "wmv2", "yuv420p"),
}
SOUND = ("mp4-mpeg4", "mov-h264", "mkv-h264", "flv-h264", "ts-h264")
# label: suffix, Pillow's format
IMAGES = {"frames-jpg": (".jpg", "JPEG"), "frames-png": (".png", "PNG")}
FRAMES, WIDTH = 10, 192
IMAGE_MUTATIONS = [name for name in MUTATIONS if name != "remuxed"]
KEPT = 4  # frames of each clip in the cache


def make_sources() -> list[Clip]:
    """A clip in each format; every second one has the face in another place."""
    av.logging.set_level(av.logging.PANIC)
    scenes = [face_frames(FRAMES, WIDTH, start) for start in (-0.5, 0.3)]
    clips = []
    for number, (label, (suffix, container, codec, pixels)) in enumerate(FORMATS.items()):
        target = io.BytesIO()
        with av.open(target, "w", format=container) as made:
            quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
            stream = made.add_stream(codec, rate=25, options=quiet)
            stream.height, stream.width = scenes[0][0].shape[:2]
            stream.pix_fmt = pixels
            stream.bit_rate = 1_000_000
            sound = made.add_stream("aac", rate=44100, layout="mono") if label in SOUND else None
            for frame in scenes[number % 2]:
                made.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
                if sound:
                    made.mux(sound.encode(_silence()))
            for used in filter(None, (stream, sound)):
                made.mux(used.encode(None))
        clips.append(Clip(name=label, suffix=suffix, container=container, content=target.getvalue()))
    return clips


def _silence() -> av.AudioFrame:
    """A 25th of a second."""
    samples = av.AudioFrame.from_ndarray(np.zeros((1, 44100 // 25), np.float32), format="fltp", layout="mono")
    samples.rate = 44100
    return samples


def make_frame_folders() -> dict[str, list[Clip]]:
    """The images of a frame folder in each image format."""
    from PIL import Image

    made: dict[str, list[Clip]] = {}
    for label, (suffix, kind) in IMAGES.items():
        for number, frame in enumerate(face_frames(KEPT, WIDTH, 0.0)):
            target = io.BytesIO()
            Image.fromarray(frame).save(target, kind)
            clip = Clip(name=f"{number:05}", suffix=suffix, container=kind, content=target.getvalue())
            made.setdefault(label, []).append(clip)
    return made


class Batches:
    """Makes, extracts and checks one batch of damaged clips after another."""

    def __init__(self, out: Path, clips: int, batch: int, seed: int, workers: int) -> None:
        self.out, self.clips, self.batch, self.seed, self.workers = out, clips, batch, seed, workers
        self.sources, self.folders = make_sources(), make_frame_folders()

    def __call__(self, number: int) -> Record:
        folder = self.out / f"batch-{number:05}"
        shutil.rmtree(folder, ignore_errors=True)  # of a benchmark that was stopped
        members = range(number * self.batch, min(self.clips, (number + 1) * self.batch))
        for member in members:
            self._write(folder / "clips", member)
        cache = folder / "cache"
        command = (installed("pipeline"), "extract", folder / "clips", "--dataset", "folders", "--out", cache)
        ended = run_command((*command, "--frames", KEPT, "--workers", self.workers, "--json"))
        problems = [*_faults("extract", ended)]
        if not problems:
            problems += _faults("verify", run_command((installed("pipeline"), "verify", cache, "--json")))
        rows = []
        if not problems:
            table = pl.read_parquet(cache / "clips.parquet", glob=False)
            rows = table.select("path", "label", "status", "reason", "source_warning").to_dicts()
            problems += _odd_rows(rows, len(members))
            for row in rows:
                if row["status"] == QUARANTINED:
                    kept = self.out / "quarantined" / row["path"]
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    source = folder / "clips" / row["path"]
                    (shutil.copytree if source.is_dir() else shutil.copy)(source, kept)
        if not problems:
            shutil.rmtree(folder)
        return {"rows": rows, "problems": [f"{folder}: {text}" for text in problems]}

    def _write(self, root: Path, member: int) -> None:
        """Write one clip, its format in the name of its folder, its number and mutation in its own."""
        chance = random.Random(f"{self.seed} {member}")
        labels = [*FORMATS, *IMAGES]
        label = labels[member % len(labels)]
        if label in IMAGES:
            self._write_folder(root / label, member, self.folders[label], chance)
            return
        clip = next(clip for clip in self.sources if clip.name == label)
        name, content, suffix = mutate(clip, self.sources, chance)
        path = root / label / f"{member:06}_{name}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def _write_folder(self, root: Path, member: int, images: list[Clip], chance: random.Random) -> None:
        """Write a frame folder in which some or all images have the same kind of damage."""
        name = chance.choice(IMAGE_MUTATIONS)
        damaged = chance.sample(images, chance.randint(1, len(images)))
        others = [image for folder in self.folders.values() for image in folder]
        folder = root / f"{member:06}_{name}"
        folder.mkdir(parents=True)
        for image in images:
            mutation = MUTATIONS[name if image in damaged else "untouched"]
            content, suffix = mutation(image, others, chance)
            (folder / f"{image.name}{suffix}").write_bytes(content)


def _faults(command: str, ended: Ended) -> list[str]:
    faults = [f"{command}: a process is left: {process}" for process in ended.left]
    if ended.code:
        faults.append(f"{command}: exit code {ended.code}, {ended.stdout[-500:]}")
    if ended.stderr:
        faults.append(f"{command}: stderr: {ended.stderr[:500]}")
    return faults


def _odd_rows(rows: list[Record], expected: int) -> list[str]:
    odd = [f"{len(rows)} rows for {expected} clips"] if len(rows) != expected else []
    for row in rows:
        if row["status"] not in STATUSES or (row["status"] != OK and not row["reason"]):
            odd.append(f"{row['path']}: status {row['status']}, reason {row['reason']}")
        if _mutation(row) == "untouched" and row["status"] != OK:
            odd.append(f"{row['path']}: not damaged, but {row['status']}: {row['reason']}")
    return odd


def _mutation(row: Record) -> str:
    return Path(row["path"]).stem.partition("_")[2]


def _table(rows: list[Record]) -> list[tuple[object, ...]]:
    """Statuses for each format, then for each mutation."""
    table = [("clips", "all", *STATUSES, "warnings")]
    groups = [(label, [r for r in rows if r["label"] == label]) for label in (*FORMATS, *IMAGES)]
    groups += [(name, [r for r in rows if _mutation(r) == name]) for name in MUTATIONS]
    for name, members in (*groups, ("all", rows)):
        found = Counter(row["status"] for row in members)
        warned = sum(bool(row["source_warning"]) for row in members)
        table.append((name, len(members), *(found[status] for status in STATUSES), warned))
    return table


def main() -> None:
    options = arguments(__doc__, clips=10_000, batch=1000, workers=2)
    batches = -(-options.clips // options.batch)
    records = run_parts(
        options,
        Batches(options.out, options.clips, options.batch, options.seed, options.workers),
        lambda records: len(records) >= batches,
        lambda records: (
            f"{sum(len(record['rows']) for record in records)} of {options.clips} clips, "
            f"{sum(len(record['problems']) for record in records)} problems, "
            f"last batch {records[-1]['seconds']:.0f} s"
        ),
        at_once=1,
    )
    rows = [row for record in records for row in record["rows"]]
    seconds = sum(record["seconds"] for record in records)
    reasons = Counter(row["reason"] for row in rows if row["reason"])
    figures = {
        "clips": len(rows),
        "formats": len({row["label"] for row in rows}),
        "seconds": round(seconds),
        "clips_a_second": round(len(rows) / seconds, 1) if seconds else None,
        "reasons": json.dumps(dict(reasons.most_common())),
        "quarantined": json.dumps({r["path"]: r["reason"] for r in rows if r["status"] == QUARANTINED}),
    }
    problems = [text for record in records for text in record["problems"]]
    conclude(options, figures, _table(rows), problems)


if __name__ == "__main__":
    main()
