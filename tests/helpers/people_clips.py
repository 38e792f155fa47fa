"""Frames with two people: the astronaut and an actor of the sample clips."""

from pathlib import Path

import numpy as np
from made_up_clips import face_frames
from open_clip import open_clip


def two_people(sample_clips: Path, count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Frames (240, 320, 3) of the astronaut, and of the actor."""
    from PIL import Image

    source = open_clip(sample_clips / "1001_DFA_NEU_XX.flv")
    places = np.linspace(0, source.facts.frames - 1, count).astype(int)
    actor = [np.array(Image.fromarray(f).resize((320, 240))) for f in source.read(places.tolist())]
    return face_frames(count, turn=0.6), actor


def side_by_side(left: list[np.ndarray], right: list[np.ndarray]) -> list[np.ndarray]:
    return [np.hstack(pair) for pair in zip(left, right, strict=True)]


def left_to_right(frames: list[np.ndarray]) -> list[np.ndarray]:
    """The two halves of frames, swapped."""
    return [np.roll(frame, frame.shape[1] // 2, 1) for frame in frames]


def nobody(frames: list[np.ndarray]) -> list[np.ndarray]:
    """Frames of their mean colour."""
    return [np.broadcast_to(frame.mean((0, 1)).astype(np.uint8), frame.shape).copy() for frame in frames]
