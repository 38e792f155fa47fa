"""Measure how well extraction follows one person through real clips, next to what others do.

    python tests/benchmarks/following.py FOLDER [--only KIND] [--ours] [--clips] [--json FILE] [--sheets OUT]

`following_truth.csv` lists clips of public repositories and, for some of the frames that an extraction samples, the
boxes of the faces, drawn by eye. FOLDER has one folder a repository, named `owner+name`, with its files in their
places: for each repository of the table, `git clone --depth 1 https://github.com/OWNER/NAME FOLDER/OWNER+NAME`. A
clip that is not there is named and left out. Compared with two ways that look at each frame alone: dlib's HOG
detector on the full frame (its largest face), and MediaPipe's FaceLandmarker on the full frame.

A box that our tracking only interpolated is no answer. `following_score.py` says how answers are counted.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from following_score import Answer, Box, Score, TrueClip, read_truth, score, side, total
from rich.console import Console
from rich.progress import track
from rich.table import Table

from dfer.pipeline.clip import extract_clip
from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.face.mediapipe_tasks import close_detectors
from dfer.pipeline.setup.models import ModelPaths, obtain_all
from dfer.pipeline.video.clip_files import ways_to_open
from dfer.schemas import cache


def ours(path: Path, frames: Sequence[int], models: ModelPaths) -> Answer:
    clip = extract_clip(path, ExtractConfig(), models)
    warning = clip.facts.warning if clip.facts else None
    if clip.track is None:
        return Answer(boxes=dict.fromkeys(frames), no_face=clip.status == cache.NO_FACE, warning=warning)
    kept = clip.track.source_frame
    if unsampled := set(frames) - set(kept):
        raise SystemExit(f"{path}: frames {sorted(unsampled)} of the table are not sampled")
    at = {frame: kept.index(frame) for frame in frames}
    detector = {frame: clip.track.detector[k] for frame, k in at.items() if clip.track.detector[k]}
    boxes = {frame: tuple(clip.track.box[k]) if frame in detector else None for frame, k in at.items()}
    return Answer(boxes=boxes, no_face=False, detector=detector, warning=warning)


def hog(path: Path, frames: Sequence[int], models: ModelPaths) -> Answer:
    import dlib

    detector, boxes = dlib.get_frontal_face_detector(), {}
    for frame, pixels in zip(frames, next(ways_to_open(path))().read(frames), strict=True):
        found = [(b.left(), b.top(), b.right() + 1, b.bottom() + 1) for b in detector(pixels, 0)]
        boxes[frame] = max(found, key=side, default=None)
    return Answer(boxes=boxes, no_face=not any(boxes.values()))


def face_landmarker(path: Path, frames: Sequence[int], models: ModelPaths) -> Answer:
    from mediapipe import Image, ImageFormat
    from mediapipe.tasks.python.vision import FaceLandmarker

    boxes: dict[int, Box | None] = {}
    with FaceLandmarker.create_from_model_path(str(models.landmarker)) as landmarker:
        for frame, pixels in zip(frames, next(ways_to_open(path))().read(frames), strict=True):
            image = Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(pixels))
            faces = landmarker.detect(image).face_landmarks
            points = np.array([(p.x, p.y) for p in faces[0]]) * pixels.shape[1::-1] if faces else None
            boxes[frame] = None if points is None else (*points.min(0).tolist(), *points.max(0).tolist())
    return Answer(boxes=boxes, no_face=not any(boxes.values()))


WAYS = {"ours": ours, "HOG": hog, "FaceLandmarker": face_landmarker}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", metavar="KIND")
    parser.add_argument("--ours", action="store_true", help="leave the other ways out")
    parser.add_argument("--clips", action="store_true", help="print a line a clip")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--sheets", type=Path, metavar="OUT", help="draw the annotated frames of each clip")
    options = parser.parse_args()
    ways = ["ours"] if options.ours else list(WAYS)
    truth = [clip for clip in read_truth() if options.only in (None, clip.kind)]
    missing = [clip for clip in truth if not clip.file(options.folder).is_file()]
    clips = [clip for clip in truth if clip not in missing]
    models, scores = obtain_all(), {}
    for clip in track(clips, console=Console(stderr=True)):
        for way in ways:
            answer = WAYS[way](clip.file(options.folder), sorted(clip.frames), models)
            scores[clip.repository, clip.path, way] = score(clip.frames, answer)
            if way == "ours" and options.sheets:
                draw_sheet(clip, answer, options)
    close_detectors()
    print_tables(clips, ways, scores, options)
    for clip in missing:
        print(f"missing: {clip.file(options.folder)}")
    print(f"{len(clips)} clips, {len(missing)} missing")
    if options.json:
        options.json.write_text(json.dumps(as_json(clips, missing, scores), indent=1))


def as_json(clips: Sequence[TrueClip], missing: Sequence[TrueClip], scores: Mapping) -> dict:
    kinds = {(clip.repository, clip.path): clip.kind for clip in clips}
    lines = [
        {"repository": repository, "path": path, "kind": kinds[repository, path], "way": way, **asdict(one)}
        for (repository, path, way), one in scores.items()
    ]
    return {"clips": lines, "missing": [f"{clip.repository}/{clip.path}" for clip in missing]}


def print_tables(
    clips: Sequence[TrueClip], ways: Sequence[str], scores: Mapping, options: argparse.Namespace
) -> None:
    console, kinds = Console(width=150), sorted({clip.kind for clip in clips})
    table = Table("kind", "way", title="Following: frames; clips")
    for name in ("clips", "on the right face", "rightly empty", "wrong", "switches"):
        table.add_column(name, justify="right")
    for name in ("clips wrong or switched", "wrongly no_face", "warned"):
        table.add_column(name, justify="right")
    for kind in (*kinds, None):
        for way in ways:
            s = total(scores[c.repository, c.path, way] for c in clips if kind in (None, c.kind))
            shares = share(s.right, s.faces), share(s.rightly_empty, s.empty)
            counts = map(str, (s.wrong, s.switches, s.spoilt, s.lost, s.warned))
            table.add_row(kind or "all", way, str(s.clips), *shares, *counts)
        table.add_section()
    console.print(table)
    if options.clips:
        console.print("right/with the face, rightly empty/empty, wrong, switches")
        for clip in clips:
            cells = [f"{way} {in_short(scores[clip.repository, clip.path, way])}" for way in ways]
            console.print(f"{clip.kind:8} {clip.repository}/{clip.path}: {'; '.join(cells)}", soft_wrap=True)


def in_short(s: Score) -> str:
    short = f"{s.right}/{s.faces} {s.rightly_empty}/{s.empty} {s.wrong}w {s.switches}s"
    return short + " NO_FACE" * s.lost + " warned" * s.warned


def share(part: int, of: int) -> str:
    return f"{100 * part / of:.1f} % ({part}/{of})" if of else "-"


def draw_sheet(clip: TrueClip, answer: Answer, options: argparse.Namespace) -> None:
    """Draw the annotated frames: true boxes green (grey: not to be followed), answers red, or blue of a tracker."""
    from PIL import Image, ImageDraw

    frames, width = sorted(clip.frames), 300
    pictures = []
    for frame, pixels in zip(
        frames, next(ways_to_open(clip.file(options.folder)))().read(frames), strict=True
    ):
        scale = width / pixels.shape[1]
        picture = Image.fromarray(pixels).resize((width, round(scale * pixels.shape[0])))
        draw = ImageDraw.Draw(picture)
        for person in clip.frames[frame]:
            colour = "lime" if person.followable else "grey"
            draw.rectangle([scale * edge for edge in person.box], outline=colour, width=2)
        if box := answer.boxes[frame]:
            colour = "deepskyblue" if answer.detector[frame] == "tracker" else "red"
            draw.rectangle([scale * edge for edge in box], outline=colour)
        draw.text((4, 4), f"{frame}", fill="white", stroke_width=2, stroke_fill="black")
        pictures.append(picture)
    height = max(picture.height for picture in pictures)
    sheet = Image.new("RGB", (4 * width, -(-len(pictures) // 4) * height))
    for k, picture in enumerate(pictures):
        sheet.paste(picture, (k % 4 * width, k // 4 * height))
    options.sheets.mkdir(parents=True, exist_ok=True)
    sheet.save(options.sheets / f"{clip.repository}+{clip.path}.png".replace("/", "+"))


if __name__ == "__main__":
    main()
