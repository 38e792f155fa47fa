"""Draw into a frame of a video: the face's box, its key-points, the class and the probabilities of that moment."""

from typing import TYPE_CHECKING, Any

import numpy as np

from dfer.schemas.html.overlay import region_colors
from dfer.schemas.support.commands import printable
from dfer.train.use.over_time.timeline import Timeline
from dfer.train.use.predict import Prediction

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

BOX, CARRIED = "#ffffff", "#9aa3ad"  # of a face that was found, and where its box is carried over
PANEL, INK, BAR = (0, 0, 0, 150), "#ffffff", "#6ba6e8"
NO_FACE = "no face found"
LONGEST = 18  # characters of a class name


class Overlay:
    """Draws a clip's answers into its frames."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline, self._fonts = timeline, {}
        keypoints = timeline.face.keypoint_set
        self._colours = {k: colour for _, members, colour in region_colors(keypoints) for k in members}

    def draw(self, picture: np.ndarray, seconds: float) -> np.ndarray:
        """Return a frame (H, W, 3) uint8 with the answer for a moment, seconds from the first frame, drawn in."""
        from PIL import Image, ImageDraw

        image = Image.fromarray(picture)
        draw = ImageDraw.Draw(image, "RGBA")
        unit = max(1.0, min(picture.shape[:2]) / 240)  # a line's width, pixels
        answer = self._timeline.at(seconds)
        if self._draw_face(draw, seconds, unit) and answer.probabilities:
            self._draw_answer(draw, answer, unit)
        else:
            self._draw_nothing(draw, unit)
        return np.asarray(image)

    def _draw_face(self, draw: "ImageDraw", seconds: float, unit: float) -> bool:
        """Draw box and key-points of a moment. Returns whether the face was found then."""
        face = self._timeline.face
        after = min(int(np.searchsorted(face.times, seconds)), len(face.times) - 1)
        before = max(after - 1, 0)
        box, points = (
            _between(face.times, values, before, after, seconds) for values in (face.boxes, face.keypoints)
        )
        detected = bool(face.detected[before] and face.detected[after])
        draw.rectangle([*box.tolist()], outline=BOX if detected else CARRIED, width=round(1.5 * unit))
        if not detected:
            return False
        radius = 1.5 * unit
        for a, b in face.keypoint_set.edges:
            draw.line([*points[a], *points[b]], fill=(255, 255, 255, 130), width=max(1, round(unit / 2)))
        for k, (x, y) in enumerate(points.tolist()):
            place = [x - radius, y - radius, x + radius, y + radius]
            draw.ellipse(place, fill=self._colours[k], outline="#000000")
        return True

    def _draw_nothing(self, draw: "ImageDraw", unit: float) -> None:
        font, edge = self._font(round(9 * unit)), 5 * unit
        width = draw.textlength(NO_FACE, font=font)
        draw.rectangle([0, 0, 2 * edge + width, 2 * edge + 11 * unit], fill=PANEL)
        draw.text((edge, edge), NO_FACE, font=font, fill=INK)

    def _draw_answer(self, draw: "ImageDraw", answer: Prediction, unit: float) -> None:
        """The class in large letters, and the probability of each as a bar."""
        large, small = self._font(round(15 * unit)), self._font(round(9 * unit))
        rows = list(answer.probabilities.items())
        edge, line = 5 * unit, 11 * unit
        name = max(draw.textlength(_short(label), font=small) for label, _ in rows)
        width = max(name + 62 * unit, draw.textlength(_short(answer.predicted), font=large))
        draw.rectangle([0, 0, 2 * edge + width, 2 * edge + 19 * unit + line * len(rows)], fill=PANEL)
        draw.text((edge, edge), _short(answer.predicted), font=large, fill=INK)
        for number, (label, share) in enumerate(rows):
            y = edge + 19 * unit + line * number
            draw.text((edge, y), _short(label), font=small, fill=INK)
            left = edge + name + 4 * unit
            draw.rectangle([left, y + 2 * unit, left + 30 * unit * share, y + 8 * unit], fill=BAR)
            draw.text((left + 33 * unit, y), f"{100 * share:.0f} %", font=small, fill=INK)

    def _font(self, size: int) -> Any:
        from matplotlib import get_data_path
        from PIL import ImageFont

        if size not in self._fonts:
            self._fonts[size] = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)
        return self._fonts[size]


def _between(times: np.ndarray, values: np.ndarray, before: int, after: int, seconds: float) -> np.ndarray:
    """Values (m, …) of kept frames, at a moment between two of them or beyond the last."""
    gap = times[after] - times[before]
    share = float(np.clip((seconds - times[before]) / gap, 0, 1)) if gap > 0 else 0.0
    return (1 - share) * values[before] + share * values[after]


def _short(label: str) -> str:
    return printable(label if len(label) <= LONGEST else f"{label[:LONGEST]}…")
