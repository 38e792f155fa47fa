"""Draw the README's picture: a crop with its 18 key-points, their graph and their regions.

python tests/draw_keypoints.py schemas/keypoints.jpg
"""

import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from dfer.pipeline.clip import extract_clip
from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.face.mediapipe_tasks import close_detectors
from dfer.pipeline.setup.models import ModelPaths, obtain_all
from dfer.schemas.html.overlay import region_colors
from dfer.schemas.keypoints import DLIB18


def astronaut_crop(models: ModelPaths) -> tuple[np.ndarray, np.ndarray]:
    """Extract the crop (512, 512, 3) of a portrait, and its key-points (18, 2) in crop pixels."""
    from skimage.data import astronaut

    with TemporaryDirectory() as folder:
        Image.fromarray(astronaut()).save(Path(folder) / "astronaut.png")
        track = extract_clip(Path(folder), ExtractConfig(size=512), models).track
    return np.array(Image.open(io.BytesIO(track.crops[0]))), track.crop_keypoints[0]


def draw(crop: np.ndarray, keypoints: np.ndarray, path: Path) -> None:
    """Draw the crop twice, once plain and once with points, numbers and edges."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), facecolor="white")
    plain, marked = figure.subplots(1, 2)
    figure.subplots_adjust(0, 0, 1, 1, 0.02, 0)
    for axes in (plain, marked):
        axes.imshow(crop)
        axes.axis("off")
    for a, b in DLIB18.edges:
        marked.plot(*keypoints[[a, b]].T, color="white", linewidth=1, alpha=0.7)
    colors = {k: color for _, members, color in region_colors(DLIB18) for k in members}
    for k, (x, y) in enumerate(keypoints):
        marked.plot(x, y, "o", color=colors[k], markersize=7, markeredgecolor="black")
        marked.annotate(
            str(k), (x, y), (5, 4), textcoords="offset points", fontsize=9, color="white", weight="bold"
        )
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=110, pil_kwargs={"quality": 90})


if __name__ == "__main__":
    draw(*astronaut_crop(obtain_all()), Path(sys.argv[1]))
    close_detectors()
