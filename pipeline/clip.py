"""Extract one clip: decode, find and track a face, 68 landmarks, key-points, aligned crops."""

import dataclasses
from pathlib import Path

import numpy as np

from dfer.pipeline.config import BLAZEFACE, ExtractConfig
from dfer.pipeline.face import mediapipe_tasks, same_person
from dfer.pipeline.face.align import (
    apply_transform,
    count_turns,
    estimate_similarity,
    find_anchors,
    find_down,
    smooth,
)
from dfer.pipeline.face.detect import detect
from dfer.pipeline.face.find import FoundFace, find_faces, reuse_face
from dfer.pipeline.face.landmarks import find_landmarks
from dfer.pipeline.face.track import find_jumps
from dfer.pipeline.records import ExtractedClip, StoredFace, StoredFaces, Track
from dfer.pipeline.setup.models import ModelPaths
from dfer.pipeline.video import clip_files
from dfer.pipeline.video.sources import DecodeError, Source
from dfer.schemas import cache
from dfer.schemas.keypoints import DLIB18, KeypointSet

ASSUMED_FPS = (
    25.0  # of sources that give no times, such as frame folders; it only affects how crops are smoothed
)


def extract_clip(
    path: Path,
    config: ExtractConfig,
    models: ModelPaths,
    reuse: StoredFaces | None = None,
    keypoints: KeypointSet = DLIB18,
) -> ExtractedClip:
    """Extract one clip. What is wrong with it becomes its status, not an exception.

    path: a video file, a frame folder, an image file, or a row of a CSV of pixels (fer2013.csv/000012)
    reuse: faces of earlier caches, taken instead of detected where the clip has the same content
    keypoints: which key-points to compute

    Raises UserError where the machine, not the clip, is at fault.
    """
    try:
        fingerprint = clip_files.fingerprint(path)
    except FileNotFoundError as error:
        reason = f"its image {_file_name(error)} is a broken link" if path.is_dir() else "the file is missing"
        return ExtractedClip(status=cache.UNDECODABLE, reason=reason)
    except DecodeError as error:
        return ExtractedClip(status=cache.UNDECODABLE, reason=str(error))
    except OSError as error:
        return ExtractedClip(status=cache.UNDECODABLE, reason=f"the file cannot be read: {error.strerror}")
    stored = reuse.find(fingerprint) if reuse else None
    facts, reason = None, None
    for open_source in clip_files.ways_to_open(path):
        source = None  # closes the reader that failed: decord goes on decoding in the background
        try:
            source = open_source()
            facts = facts or source.facts
            clip = _extract(source, stored, config, models, keypoints)
        except DecodeError as error:
            reason = reason or str(error)  # not the exception, which would keep the reader open
            continue
        others = tuple(dataclasses.replace(other, fingerprint=fingerprint) for other in clip.others)
        reused = stored is not None
        return dataclasses.replace(clip, fingerprint=fingerprint, reused=reused, others=others)
    return ExtractedClip(status=cache.UNDECODABLE, reason=reason, facts=facts, fingerprint=fingerprint)


def warm_up(config: ExtractConfig, models: ModelPaths) -> None:
    """Load all that a clip can need into this process, so that no clip's time includes it. Raises UserError."""
    import av  # noqa: F401 (a decoder that does not load is the machine's fault, not the first clip's)
    import decord  # noqa: F401
    import simplejpeg  # noqa: F401

    blank = np.zeros((96, 96, 3), np.uint8)
    detect(blank, models.landmarker, config)
    find_landmarks(blank, np.array([16, 16, 80, 80]), models.predictor)
    same_person.load(models.recogniser)
    if config.detector == BLAZEFACE:  # for blendshapes, and where a face is uncertain
        mediapipe_tasks.expression_scores(models.landmarker, blank)


def _file_name(error: OSError) -> str:
    return Path(error.filename).name.encode("utf-8", "backslashreplace").decode()


def _extract(
    source: Source,
    stored: tuple[StoredFace, ...] | None,
    config: ExtractConfig,
    models: ModelPaths,
    keypoints: KeypointSet,
) -> ExtractedClip:
    """Extract an open clip, with its faces found or reused. Raises DecodeError."""
    if stored is None:
        faces = find_faces(source, config, models)
    else:
        faces = [reuse_face(source, face, config) for face in stored]
    if not faces:
        return ExtractedClip(status=cache.NO_FACE, reason="no face in any sampled frame", facts=source.facts)
    often = [f for f in faces if np.mean([name is not None for name in f.detector]) >= config.min_found]
    if not often:
        reason = "its face is in too few frames for --min-found"
        return ExtractedClip(status=cache.NO_FACE, reason=reason, facts=source.facts)
    first, *others = (_person(found, source, config, models, keypoints) for found in often)
    return dataclasses.replace(first, others=tuple(others))


def _person(
    found: FoundFace, source: Source, config: ExtractConfig, models: ModelPaths, keypoints: KeypointSet
) -> ExtractedClip:
    """An open clip with one of its people."""
    # A reused face's warning repeats what the source says now.
    warnings = [w for text in (source.facts.warning, found.warning) if text for w in text.split("; ")]
    facts = dataclasses.replace(source.facts, warning="; ".join(dict.fromkeys(warnings)) or None)
    track = _make_track(found, source, config, models, keypoints)
    return ExtractedClip(status=cache.OK, facts=facts, track=track)


def _make_track(
    found: FoundFace, source: Source, config: ExtractConfig, models: ModelPaths, keypoints: KeypointSet
) -> Track:
    """Cut the crops. Their transforms are smoothed over time; key-points are not, and are mapped exactly."""
    times = source.times(found.positions)
    transforms = _crop_transforms(found, times, source.facts.fps, config)
    points = keypoints.select(found.landmarks)
    expressions = None
    if config.blendshapes:
        faces = zip(found.regions, found.boxes, find_down(found.landmarks), strict=True)
        scores = [region.expression_scores(box, count_turns(down), models) for region, box, down in faces]
        expressions = np.stack(scores)
    return Track(
        source_frame=found.positions,
        time_s=times or [None] * len(found.positions),
        detector=found.detector,
        score=found.score,
        box=found.boxes,
        landmarks=found.landmarks,
        keypoints=points,
        transform=transforms,
        crop_landmarks=_in_crops(found.landmarks, transforms),
        crop_keypoints=_in_crops(points, transforms),
        crops=[region.crop(m, config) for region, m in zip(found.regions, transforms, strict=True)],
        blendshapes=expressions,
    )


def _in_crops(points: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Map the points (m, n, 2) of each frame into its crop."""
    return np.stack([apply_transform(p, m) for p, m in zip(points, transforms, strict=True)])


def _crop_transforms(
    found: FoundFace, times: list[float] | None, fps: float | None, config: ExtractConfig
) -> np.ndarray:
    """Compute the transforms (m, 2, 3) from source to crop, smoothed over time between cuts and jumps.

    times: of the m frames, seconds; without them the frame rate tells how far frames are apart
    """
    seconds = np.array(times or [p / (fps or ASSUMED_FPS) for p in found.positions])
    jumps = find_jumps(found.boxes, [name is not None for name in found.detector])
    segments = np.searchsorted(sorted({*found.cuts, *jumps}), np.arange(len(seconds)), side="right")
    anchors = smooth(find_anchors(found.landmarks, found.boxes, config.align), seconds, segments)
    return np.stack([estimate_similarity(a, config.align, config.size, config.margin) for a in anchors])
