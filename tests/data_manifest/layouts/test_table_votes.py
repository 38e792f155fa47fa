"""Votes and stills in a table."""

import polars as pl
import pytest
import trees

from dfer.data_manifest.datasets import read_manifest
from dfer.schemas.manifest import IMAGE
from dfer.schemas.support.errors import UserError

HEADER = "path,label,votes_sad,votes_Happy"


@pytest.fixture
def table(root):
    """Write a CSV of the stills a.jpg, b.jpg, … with these lines, and return the file."""

    def write(*lines, header=HEADER):
        trees.write_files(root, *(f"{name}.jpg" for name in "abcdef"))
        trees.write_text(root / "t.csv", [header, *lines])
        return root / "t.csv"

    return write


def test_votes_are_in_the_order_of_the_labels_and_give_the_missing_labels(table):
    manifest = read_manifest(
        table("a.jpg,,3,1", "b.jpg,Happy,2,1", "c.jpg,,2,2", "d.jpg,happiness,,", "e.jpg,,,2.5", "f.jpg,,0,0")
    )
    assert manifest.labels == ("Happy", "sad") and set(manifest.clips["kind"]) == {IMAGE}
    assert manifest.clips.select("path", "label", "votes").rows() == [
        ("a.jpg", "sad", [1, 3]),
        ("b.jpg", "Happy", [1, 2]),
        ("c.jpg", None, [2, 2]),
        ("d.jpg", "Happy", None),
        ("e.jpg", "Happy", [2.5, 0]),
        ("f.jpg", None, None),
    ]
    assert [problem.line for problem in manifest.problems] == [
        "clips without a label: most votes are shared by several answers: 1 of 6 (c.jpg)",
        "clips without a label, never trained on or judged by label: 2 of 6 (c.jpg, f.jpg)",
    ]


def test_a_table_with_votes_needs_no_label_column(table):
    manifest = read_manifest(table("a.jpg;1;4", "b.jpg;3;0", header="path;votes_sad;votes_calm"))
    assert manifest.labels == ("calm", "sad") and manifest.clips["label"].to_list() == ["calm", "sad"]
    assert manifest.clips["votes"].to_list() == [[4, 1], [0, 3]]


def test_votes_are_found_in_any_case_and_words_for_an_empty_cell_are_no_votes(table):
    manifest = read_manifest(table("a.jpg,NaN,4", "b.jpg,3,None", header="Path,Votes_Sad,VOTES_calm"))
    assert manifest.labels == ("Sad", "calm") and manifest.clips["votes"].to_list() == [[0, 4], [3, 0]]


def test_a_column_of_votes_for_no_class_is_not_read(table):
    manifest = read_manifest(table("a.jpg,sad,3,1", header="path,label,votes_,votes_sad"))
    assert manifest.labels == ("sad",) and manifest.clips["votes"].to_list() == [[1]]


def test_votes_of_a_parquet_table_are_read(root):
    trees.write_files(root, "a.jpg", "b/1.jpg")
    table = {"path": ["a.jpg", "b"], "votes_x": [1, 2], "votes_y": [0.25, None]}
    pl.DataFrame(table).write_parquet(root / "t.parquet")
    manifest = read_manifest(root / "t.parquet")
    assert manifest.clips["votes"].to_list() == [[1, 0.25], [2, 0]] and manifest.labels == ("x", "y")


def test_a_class_nobody_has_most_votes_for_is_a_label_of_the_dataset(table):
    assert read_manifest(table("a.jpg,,3,1", "b.jpg,,3,0")).labels == ("Happy", "sad")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("b.jpg,,3,-1", "line 3: votes_Happy '-1' is not a number from 0; fix or remove it"),
        ("b.jpg,,many,1", "line 3: votes_sad 'many' is not a number from 0; fix or remove it"),
        ("b.jpg,,inf,1", "line 3: votes_sad 'inf' is not a number from 0; fix or remove it"),
        ("b.jpg,calm,3,1", "line 3: label 'calm' has no column votes_…; fix or remove it"),
        ("a.jpg,,3,2", "line 3: clip a.jpg has votes "),
    ],
)
def test_wrong_votes_are_refused_with_their_line(table, line, message):
    with pytest.raises(UserError) as error:
        read_manifest(table("a.jpg,,3,1", line))
    assert message in str(error.value) or message.replace("line 3", "line 2") in str(error.value)


def test_two_columns_of_votes_for_one_class_are_refused(table):
    with pytest.raises(UserError, match=r"two columns of votes for one class \(Angry, anger\); merge them"):
        read_manifest(table("a.jpg,1,2", header="path,votes_anger,votes_Angry"))


def test_votes_survive_a_written_manifest(here, table, tmp_path):
    file, out = table("a.jpg,,3,1", "b.jpg,,0,2", "c.jpg,,1,1"), tmp_path / "m.parquet"
    shown = here("pipeline", "manifest", file, "--out", out)
    assert shown.returncode == 0, shown.stderr
    assert "on disk: 3 stills" in shown.stdout and "votes: 3 clips, 1 of them without a label" in shown.stdout
    again, first = read_manifest(out), read_manifest(file)
    assert again.clips.equals(first.clips) and again.labels == first.labels
    changed = first.clips.with_columns(votes=pl.col("votes").list.head(1))
    changed.write_parquet(out, metadata=pl.read_parquet_metadata(out))
    with pytest.raises(UserError, match="changed after `pipeline manifest` wrote it"):
        read_manifest(out)
