"""`dfer.pipeline.extract_clip`: one clip from Python, without a cache."""

import os
from contextlib import closing
from pathlib import Path

from dfer.pipeline.config import ExtractConfig, RunOptions
from dfer.pipeline.records import ExtractedClip
from dfer.pipeline.run.build import make_extractor
from dfer.pipeline.run.workers import extract_clips
from dfer.schemas.keypoints import DLIB18, KeypointSet


def extract_clip(
    path: str | os.PathLike,
    config: ExtractConfig | None = None,
    options: RunOptions | None = None,
    keypoints: KeypointSet = DLIB18,
) -> ExtractedClip:
    """Extract one clip. What is wrong with it becomes its status, not an exception.

    It is extracted in a separate process, as `pipeline extract` does it: a clip that crashes or hangs is
    quarantined, libraries print nothing, and none of them reaches the network. Starting that process takes a second
    or two, so extract many clips with `pipeline extract`.

    path: a video file, a folder of images, or an image
    config: settings [default: those of `pipeline extract`]
    options: limits of the process, folder of the models
    keypoints: which key-points to compute

    Raises UserError if this machine cannot extract.
    """
    options = options or RunOptions()
    extractor = make_extractor(config or ExtractConfig(), keypoints, options)
    batch = [((0, 0), Path(os.path.abspath(path)))]  # noqa: PTH100 (keeps links as the user wrote them)
    with closing(extract_clips([batch], extractor, 1, options)) as results:
        ((_, clip),) = results
    return clip
