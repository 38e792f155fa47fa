"""The README's example of a reader is a reader."""

import re
from pathlib import Path

import pytest
import trees

from dfer.data_manifest import datasets
from dfer.schemas.manifest import MISSING, VIDEO
from dfer.schemas.support.errors import UserError

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def example(monkeypatch):
    """The example's READER among the others."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    names = {"__name__": "data_manifest.mine"}
    exec(compile(code, README, "exec"), names)
    monkeypatch.setattr(datasets, "READERS", (names["READER"], *datasets.READERS))
    return names["READER"]


def test_the_readmes_reader_reads_its_list(root, example):
    trees.write_text(root / "list.txt", ["clips/a.mp4 happy", "clips/b.mp4 Wut"])
    trees.write_files(root, "clips/a.mp4", "clips/c.mp4")
    manifest = datasets.read_manifest(root)
    assert manifest.dataset == example.name
    assert manifest.clips.select("clip_id", "label", "kind").rows() == [
        ("clips/a.mp4", "happiness", VIDEO),
        ("clips/b.mp4", None, MISSING),
    ]
    assert {problem.kind for problem in manifest.problems} == {"labels", "unknown label", "missing", "extra"}


def test_the_readmes_trace_tells_that_the_list_is_missing(root, example):
    trees.write_files(root, "my_videos/happy/a.mp4")
    with pytest.raises(UserError, match=r"its folder my_videos looks like mine.* expects list\.txt"):
        datasets.read_manifest(root)
