"""The commands of data_manifest/README.md run, and its example of a reader reads."""

import re
import shlex
from pathlib import Path

import pytest
import trees

from dfer.data_manifest import datasets
from dfer.schemas.manifest import MISSING, VIDEO
from dfer.schemas.support.errors import UserError

README = Path(__file__).parents[2] / "data_manifest" / "README.md"


def code(language):
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    return block


@pytest.fixture
def example(monkeypatch):
    """The example's READER, added to the others."""
    names = {"__name__": "dfer.data_manifest.layouts.mine"}
    exec(compile(code("python"), README, "exec"), names)
    monkeypatch.setattr(datasets, "READERS", (names["READER"], *datasets.READERS))
    return names["READER"]


def test_the_commands_run(here, root, video, monkeypatch):
    trees.build_dfew(root / "DFEW", [])
    trees.build_table(root, [video])
    monkeypatch.chdir(root)
    commands = [shlex.split(line, comments=True) for line in code("bash").splitlines()]
    printed = [here(*command) for command in commands]
    assert [outcome.returncode for outcome in printed] == [0, 0, 0], printed
    assert [outcome.stdout.split()[0] for outcome in printed] == ["dfew", "14", "6"]
    assert (root / "manifest.parquet").exists()


def test_every_reader_is_in_the_table_of_layouts():
    named = re.findall(r"^\| `([a-z][\w-]*)` \| .* \| .* \|$", README.read_text(), re.MULTILINE)
    assert sorted(named) == sorted(reader.name for reader in datasets.READERS)


def test_the_example_reads_its_list(root, example):
    trees.write_text(root / "list.txt", ["clips/a.mp4 happy", "clips/b.mp4 Wut"])
    trees.write_files(root, "clips/a.mp4", "clips/c.mp4")
    manifest = datasets.read_manifest(root)
    assert manifest.dataset == example.name
    assert manifest.clips.select("clip_id", "label", "kind").rows() == [
        ("clips/a.mp4", "happiness", VIDEO),
        ("clips/b.mp4", None, MISSING),
    ]
    assert {problem.kind for problem in manifest.problems} == {"labels", "unknown label", "missing", "extra"}


def test_the_examples_trace_reports_that_the_list_is_missing(root, example):
    trees.write_files(root, "my_videos/happy/a.mp4")
    message = "the folder my_videos looks like mine, but this is missing or incomplete here: list.txt;"
    with pytest.raises(UserError, match=message):
        datasets.read_manifest(root)
