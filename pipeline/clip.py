"""The whole way of one clip: decode, find and follow a face, 68 landmarks, 18 key-points, aligned crops."""

import dataclasses
from pathlib import Path

import numpy as np

from dfer.pipeline.cache.reuse import Reuse
from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.face import align, detect, find, landmarks
from dfer.pipeline.face.smoothing import smooth
from dfer.pipeline.records import ExtractedClip, StoredFace, Track
from dfer.pipeline.setup.models import ModelPaths
from dfer.pipeline.video import decode
from dfer.pipeline.video.sources import DecodeError, Source
from dfer.schemas import cache
from dfer.schemas.keypoints import DLIB18, KeypointSet


def extract_clip(
    path: Path,
    config: ExtractConfig,
    models: ModelPaths,
    reuse: Reuse | None = None,
    keypoints: KeypointSet = DLIB18,
) -> ExtractedClip:
    """Extract one clip, a video file or a frame folder. Its faults become its status, not exceptions.

    reuse: earlier caches, whose boxes and landmarks are taken where they hold the same content.
    Raises UserError where the machine, not the clip, is at fault.
    """
    try:
        fingerprint = decode.fingerprint(path)
    except FileNotFoundError as error:
        reason = f"its image {_shown(error)} is a link to nothing" if path.is_dir() else "the file is missing"
        return ExtractedClip(status=cache.UNDECODABLE, reason=reason)
    except OSError as error:
        return ExtractedClip(status=cache.UNDECODABLE, reason=f"the file cannot be read: {error.strerror}")
    stored = reuse.find(fingerprint) if reuse else None
    refused, facts = None, None
    try:
        for way in decode.ways_to_read(path):
            try:
                source = way()
                facts = facts or source.facts
                clip = _extract(source, stored, config, models, keypoints)
            except DecodeError as error:
                refused = refused or error
                continue
            return dataclasses.replace(clip, fingerprint=fingerprint, reused=stored is not None)
    except DecodeError as error:
        refused = error
    return ExtractedClip(status=cache.UNDECODABLE, reason=str(refused), facts=facts, fingerprint=fingerprint)


def _shown(error: OSError) -> str:
    """The name of the file that an error is about."""
    return Path(error.filename).name.encode("utf-8", "backslashreplace").decode()


def warm_up(config: ExtractConfig, models: ModelPaths) -> None:
    """Load the models into this process, so that no clip's time includes it. Raises UserError."""
    import av  # noqa: F401 (a decoder that does not load is the machine's fault, not the first clip's)
    import decord  # noqa: F401

    blank = np.zeros((96, 96, 3), np.uint8)
    detect.detect(blank, models.landmarker, config)
    landmarks.find_landmarks(blank, np.array([16, 16, 80, 80]), models.predictor)


def _extract(
    source: Source,
    stored: StoredFace | None,
    config: ExtractConfig,
    models: ModelPaths,
    keypoints: KeypointSet,
) -> ExtractedClip:
    """An open clip's face, found or taken over. Raises DecodeError."""
    if stored is None:
        found = find.find_face(source, config, models)
    else:
        found = find.take_over(source, stored, config) if stored.positions else None
    if found is None:
        return ExtractedClip(status=cache.NO_FACE, reason="no face in any sampled frame", facts=source.facts)
    # What is taken over from a cache says of the source what the source says again.
    warnings = [w for text in (source.facts.warning, found.warning) if text for w in text.split("; ")]
    facts = dataclasses.replace(source.facts, warning="; ".join(dict.fromkeys(warnings)) or None)
    track = _make_track(found, source.times(found.positions), config, models, keypoints)
    return ExtractedClip(status=cache.OK, facts=facts, track=track)


def _make_track(
    found: find.FoundFace,
    times: list[float | None],
    config: ExtractConfig,
    models: ModelPaths,
    keypoints: KeypointSet,
) -> Track:
    """Cut the crops. Transforms are smoothed over time, between cuts; key-points are not, and follow exactly."""
    seconds = np.array([p / 25 for p in found.positions] if None in times else times, float)
    runs = np.searchsorted(found.cuts, np.arange(len(seconds)), side="right")
    anchors = smooth(align.find_anchors(found.landmarks, found.boxes, config.align), seconds, runs)
    transforms = np.stack([align.fit(a, config.align, config.size, config.margin) for a in anchors])
    points = keypoints.select(found.landmarks)
    expressions = None
    if config.blendshapes:
        pairs = zip(found.patches, found.boxes, strict=True)
        expressions = np.stack([patch.expression_scores(box, models) for patch, box in pairs])
    return Track(
        source_frame=found.positions,
        time_s=times,
        detector=found.detector,
        score=found.score,
        box=found.boxes,
        landmarks=found.landmarks,
        keypoints=points,
        transform=transforms,
        crop_keypoints=np.stack([align.carry(k, m) for k, m in zip(points, transforms, strict=True)]),
        crops=[patch.crop(m, config) for patch, m in zip(found.patches, transforms, strict=True)],
        blendshapes=expressions,
    )
