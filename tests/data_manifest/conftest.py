"""What trees are made of where no clip is ever decoded."""

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def frames() -> list[np.ndarray]:
    """Two tiny frames."""
    return [np.zeros((16, 16, 3), np.uint8)] * 2


@pytest.fixture
def video(tmp_path) -> Path:
    """A file with a video's name and three bytes."""
    path = tmp_path / "made_of" / "a.mp4"
    path.parent.mkdir()
    path.write_bytes(b"abc")
    return path


@pytest.fixture
def root(tmp_path) -> Path:
    """Where the dataset is to be, in a folder whose name has a space and parentheses."""
    path = tmp_path / "a dataset (copy)"
    path.mkdir()
    return path
