"""What trees are made of when no clip is decoded."""

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def frames() -> list[np.ndarray]:
    """Two tiny frames."""
    return [np.zeros((16, 16, 3), np.uint8)] * 2


@pytest.fixture
def video(tmp_path) -> Path:
    """A file of three bytes with a video's name."""
    path = tmp_path / "made_of" / "a.mp4"
    path.parent.mkdir()
    path.write_bytes(b"abc")
    return path


@pytest.fixture
def root(tmp_path) -> Path:
    """The dataset's folder; its name has a space and parentheses."""
    path = tmp_path / "a dataset (copy)"
    path.mkdir()
    return path
