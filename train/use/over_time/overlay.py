"""Draw into a frame of a video: each face's box, its key-points, the class and the probabilities of that moment."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dfer.schemas.html.overlay import region_colors
from dfer.schemas.support.commands import printable
from dfer.train.use.over_time.face_track import FaceTrack
from dfer.train.use.over_time.timeline import Timeline
from dfer.train.use.prediction import Prediction

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

BOX, CARRIED = "#ffffff", "#9aa3ad"  # of a face that was found, and where its box is carried over
PANEL, INK, DARK, BAR = (0, 0, 0, 150), "#ffffff", "#000000", "#6ba6e8"
PANEL_LINES, PANEL_ROWS = 3, 2  # classes in a small panel, and rows of such panels in a picture
NO_FACE = "no face found"
LONGEST = 18  # characters of a class name

Label = tuple[float, float, float, float]  # left, top, right and bottom, pixels


class Overlay:
    """Draws a clip's answers into its frames. Several people have a colour each, and their number."""

    def __init__(self, people: Sequence[Timeline]) -> None:
        self._people, self._fonts = people, {}
        keypoints = people[0].face.keypoint_set
        self._colours = {k: colour for _, members, colour in region_colors(keypoints) for k in members}

    def draw(self, picture: np.ndarray, seconds: float) -> np.ndarray:
        """Return a frame (H, W, 3) uint8 with the answers for a moment, seconds from the first frame, drawn in."""
        from PIL import Image, ImageDraw

        image = Image.fromarray(picture)
        draw = ImageDraw.Draw(image, "RGBA")
        unit = max(1.0, min(picture.shape[:2]) / 240)  # a line's width, pixels
        seen = [person for person in self._people if self._draw_face(draw, person, seconds, unit)]
        answers = [(person, person.at(seconds)) for person in seen if person.at(seconds).probabilities]
        if not answers:
            self._draw_nothing(draw, unit)
        elif answers[0][0].person is None:
            self._draw_answer(draw, answers[0][1], unit)
        else:
            self._draw_answers(draw, answers, seconds, picture.shape[1], unit)
        return np.asarray(image)

    def _draw_face(self, draw: "ImageDraw", person: Timeline, seconds: float, unit: float) -> bool:
        """Draw box and key-points of a moment. Returns whether the face was found then."""
        face = person.face
        box, points, detected = _at(face, seconds)
        if not detected and person.person is not None:
            return False  # there are others to look at
        colour = (person.colour or BOX) if detected else CARRIED
        draw.rectangle([*box.tolist()], outline=colour, width=round(1.5 * unit))
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

    def _draw_answers(
        self,
        draw: "ImageDraw",
        answers: Sequence[tuple[Timeline, Prediction]],
        seconds: float,
        width: int,
        unit: float,
    ) -> None:
        """Number and class of each person above the box, and the most probable classes in a panel at the top."""
        font, line = self._font(round(8 * unit)), 10 * unit
        names = [_short(label) for label in answers[0][1].probabilities]
        name = max(draw.textlength(label, font=font) for label in names)
        across = name + 62 * unit
        fitting = max(1, int(width // (across + 2 * unit)))
        labels: list[Label] = []
        for place, (person, answer) in enumerate(answers):
            title = f"{person.person} {_short(answer.predicted)}"
            x, y, _, _ = _at(person.face, seconds)[0].tolist()
            long = draw.textlength(title, font=font)
            top = max(0.0, y - 11 * unit)
            labels.append(_clear((x, top, x + long + 4 * unit, top + 11 * unit), labels))
            draw.rectangle(labels[-1], fill=person.colour)
            draw.text((x + 2 * unit, labels[-1][1] + unit), title, font=font, fill=DARK)
            if place < PANEL_ROWS * fitting:
                row, column = divmod(place, fitting)
                corner = column * (across + 2 * unit), row * (PANEL_LINES + 1.6) * line
                self._draw_panel(draw, corner, title, person.colour, answer, name, unit)

    def _draw_panel(
        self,
        draw: "ImageDraw",
        corner: tuple[float, float],
        title: str,
        colour: str,
        answer: Prediction,
        name: float,
        unit: float,
    ) -> None:
        """A small panel. name: width of the names of classes, pixels"""
        font, line, edge = self._font(round(8 * unit)), 10 * unit, 3 * unit
        x, y = corner
        draw.rectangle([x, y, x + name + 62 * unit, y + (PANEL_LINES + 1.4) * line], fill=PANEL)
        draw.rectangle([x, y, x + name + 62 * unit, y + 11 * unit], fill=colour)
        draw.text((x + edge, y + unit), title, font=font, fill=DARK)
        ranked = sorted(answer.probabilities.items(), key=lambda pair: -pair[1])[:PANEL_LINES]
        for number, (label, share) in enumerate(ranked, 1):
            top, left = y + number * line + 2 * unit, x + edge + name + 3 * unit
            draw.text((x + edge, top), _short(label), font=font, fill=INK)
            draw.rectangle([left, top + 2 * unit, left + 25 * unit * share, top + 7 * unit], fill=BAR)
            draw.text((left + 27 * unit, top), f"{100 * share:.0f} %", font=font, fill=INK)

    def _font(self, size: int) -> Any:
        from matplotlib import get_data_path
        from PIL import ImageFont

        if size not in self._fonts:
            self._fonts[size] = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)
        return self._fonts[size]


def _at(face: FaceTrack, seconds: float) -> tuple[np.ndarray, np.ndarray, bool]:
    """Box (4,) and key-points (K, 2) at a moment between two kept frames, and whether the face was found in both."""
    after = min(int(np.searchsorted(face.times, seconds)), len(face.times) - 1)
    before = max(after - 1, 0)
    gap = face.times[after] - face.times[before]
    share = float(np.clip((seconds - face.times[before]) / gap, 0, 1)) if gap > 0 else 0.0
    start, end = face.boxes[before], face.boxes[after]
    if np.abs(start - end).max() > (start[2:] - start[:2]).max():
        share = round(share)  # a cut, and not a head that flies
    box, points = (
        (1 - share) * values[before] + share * values[after] for values in (face.boxes, face.keypoints)
    )
    return box, points, bool(face.detected[before] and face.detected[after])


def _clear(label: Label, others: Sequence[Label]) -> Label:
    """Move a label up until it hides no other, or down where the picture ends: up leaves the faces below free."""
    left, top, right, bottom = label
    high = bottom - top
    inline = sorted(each[1] for each in others if each[0] < right and each[2] > left)
    place = top
    for other in reversed(inline):
        if abs(other - place) < high:
            place = other - high
    if place >= 0:
        return left, place, right, place + high
    for other in inline:
        if abs(other - top) < high:
            top = other + high
    return left, top, right, top + high


def _short(label: str) -> str:
    return printable(label if len(label) <= LONGEST else f"{label[:LONGEST]}…")
