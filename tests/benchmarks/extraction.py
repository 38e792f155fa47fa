"""Time the extraction of a clip in one process, next to decoding alone and to what others do.

    python tests/benchmarks/extraction.py CLIPS [--frames 16] [--rounds 5]

CLIPS is a folder of videos (`pipeline sample CLIPS` downloads six). Compared with: the plain recipe of most scripts
(dlib's HOG detector on every sampled full frame, then dlib's 68 landmarks); the same with the frame upsampled once,
as `face_recognition` does; MediaPipe's FaceLandmarker on the full frame. They are timed in turn, round by round, so
that a change of the machine's speed affects all of them. Prints medians and ratios.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from dfer.pipeline.clip import extract_clip
from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.face.landmarks import find_landmarks
from dfer.pipeline.face.mediapipe_tasks import close_detectors, expression_scores
from dfer.pipeline.setup.models import ModelPaths, obtain_all
from dfer.pipeline.video.clip_files import ways_to_open
from dfer.pipeline.video.sampling import sample_positions
from dfer.pipeline.video.sources import DecodeError


def decode_only(path: Path, config: ExtractConfig, models: ModelPaths) -> int:
    source = next(ways_to_open(path))()
    return sum(1 for _ in source.read(sample_positions(source.facts.frames, config.frames)))


def ours(path: Path, config: ExtractConfig, models: ModelPaths) -> int:
    track = extract_clip(path, config, models).track
    return sum(detector is not None for detector in track.detector) if track else 0


def plain_recipe(path: Path, config: ExtractConfig, models: ModelPaths, upsample: int = 0) -> int:
    import dlib

    detector = dlib.get_frontal_face_detector()
    source, found = next(ways_to_open(path))(), 0
    for frame in source.read(sample_positions(source.facts.frames, config.frames)):
        for box in detector(frame, upsample)[:1]:
            edges = np.array([box.left(), box.top(), box.right() + 1, box.bottom() + 1])
            find_landmarks(frame, edges, models.predictor)
            found += 1
    return found


def upsampled_once(path: Path, config: ExtractConfig, models: ModelPaths) -> int:
    return plain_recipe(path, config, models, upsample=1)


def face_landmarker(path: Path, config: ExtractConfig, models: ModelPaths) -> int:
    source = next(ways_to_open(path))()
    frames = source.read(sample_positions(source.facts.frames, config.frames))
    return sum(not np.isnan(expression_scores(models.landmarker, frame)).any() for frame in frames)


WAYS = {
    "decode only": decode_only,
    "ours": ours,
    "plain recipe": plain_recipe,
    "upsampled once": upsampled_once,
    "FaceLandmarker": face_landmarker,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    clips = sorted(p for p in options.clips.iterdir() if p.suffix not in (".txt", ".md"))
    config, models = ExtractConfig(frames=options.frames), obtain_all()
    for way in WAYS.values():
        way(clips[0], config, models)  # loads what it needs
    times: dict[tuple[str, str], list[float]] = {}
    faces: dict[tuple[str, str], int] = {}
    for _ in range(options.rounds):
        for clip in clips:
            for name, way in WAYS.items():
                started = time.perf_counter()
                try:
                    faces[clip.name, name] = way(clip, config, models)
                except DecodeError:
                    continue
                times.setdefault((clip.name, name), []).append(time.perf_counter() - started)
    close_detectors()
    print_table(times, faces, options)


def print_table(times: dict, faces: dict, options: argparse.Namespace) -> None:
    table = Table(
        title=f"ms a clip, {options.frames} frames, median of {options.rounds}; (frames with a face)"
    )
    table.add_column("clip")
    for name in (*WAYS, "plain / ours", "ours / decode"):
        table.add_column(name, justify="right")
    medians = {key: statistics.median(values) for key, values in times.items()}
    clips = [clip for clip, name in medians if name == "ours"]
    totals = {name: sum(medians[clip, name] for clip in clips) for name in WAYS}
    for clip in clips:
        spent = {name: medians[clip, name] for name in WAYS}
        cells = [
            f"{1000 * spent[n]:.0f}" + (f" ({faces[clip, n]})" if n != "decode only" else "") for n in WAYS
        ]
        table.add_row(clip, *cells, *ratios(spent))
    table.add_section()
    table.add_row("all", *(f"{1000 * totals[n]:.0f}" for n in WAYS), *ratios(totals))
    Console(width=130).print(table)


def ratios(spent: dict[str, float]) -> list[str]:
    return [f"{spent['plain recipe'] / spent['ours']:.2f}", f"{spent['ours'] / spent['decode only']:.2f}"]


if __name__ == "__main__":
    main()
