import time

import numpy as np
import polars as pl
import pytest
import trees

from data_manifest.datasets import read_manifest
from schemas.errors import UserError
from schemas.manifest import MISSING, VIDEO, fold_numbers


def problems(manifest):
    return {problem.kind: problem.count for problem in manifest.problems}


@pytest.mark.parametrize("absolute", [False, True])
def test_a_csv_with_bom_and_crlf(root, video, absolute):
    ids = trees.build_table(root, [video], absolute=absolute)
    manifest = read_manifest(root / "clips.csv")
    assert manifest.dataset == "table" and manifest.root == root and not manifest.problems
    assert manifest.clips["path"].to_list() == ids and set(manifest.clips["kind"]) == {VIDEO}
    assert manifest.clips.row(2, named=True)["split"] == "test" and manifest.labels == ("happy", "sad")


def test_a_parquet_table_with_numbers_and_all_columns(root, video):
    trees.write_video(root / "a.mp4", video)
    table = {
        "path": ["a.mp4"],
        "label": [3],
        "fold": [2.0],
        "subject": [7],
        "scene": ["war"],
        "intensity": ["low"],
    }
    pl.DataFrame(table).write_parquet(root / "t.parquet")
    (row,) = read_manifest(root / "t.parquet").clips.to_dicts()
    assert (row["label"], row["fold"], row["subject"], row["intensity"]) == ("3", 2, "7", "low")


def test_paths_outside_the_tables_folder_move_the_root(root, video, tmp_path):
    trees.write_text(root / "t.csv", ["path,label", "../made_of/a.mp4,x", "./clips//b.mp4,y"])
    trees.write_video(root / "clips" / "b.mp4", video)
    manifest = read_manifest(root / "t.csv")
    assert manifest.root == tmp_path
    assert manifest.clips["path"].to_list() == [f"{root.name}/clips/b.mp4", "made_of/a.mp4"]
    assert set(manifest.clips["kind"]) == {VIDEO}


def test_absolute_paths_that_lead_nowhere_are_missing_clips(root):
    (root / "c.mp4").touch()
    trees.write_text(
        root / "t.csv", ["path,label", "/elsewhere/a/b.mp4,x", "/elsewhere/c/../d.mp4,x", "c.mp4,x"]
    )
    clips = read_manifest(root / "t.csv").clips
    assert clips["path"].to_list()[:2] == ["elsewhere/a/b.mp4", "elsewhere/d.mp4"]
    assert clips["kind"].to_list() == [MISSING, MISSING, VIDEO]


def test_missing_extra_duplicate_and_synonyms(root, video):
    trees.write_video(root / "v" / "a.mp4", video)
    trees.write_video(root / "v" / "z.mp4", video)
    trees.write_text(root / "t.csv", ["path,label", "v/a.mp4,Happy", "v/a.mp4,Happy", "v/b.mp4,happiness"])
    manifest = read_manifest(root / "t.csv")
    assert manifest.clips.select("path", "kind", "label").rows() == [
        ("v/a.mp4", VIDEO, "happiness"),
        ("v/b.mp4", MISSING, "happiness"),
    ]
    assert problems(manifest) == {"duplicate": 1, "missing": 1, "extra": 1, "labels": 1}


def test_a_clip_with_several_folds_is_tested_in_each(root):
    lines = ["path,label,fold", "a.mp4,x,1", "b.mp4,y,2", "c.mp4,x,3", "a.mp4,x,2"]
    trees.write_text(root / "t.csv", lines)
    (root / "a.mp4").touch()
    manifest = read_manifest(root / "t.csv")
    assert fold_numbers(manifest.clips) == [1, 2, 3]
    assert manifest.clips.select("path", "fold", "test_folds", "train_folds").rows() == [
        ("a.mp4", None, [1, 2], [3]),
        ("b.mp4", 2, None, None),
        ("c.mp4", 3, None, None),
    ]
    assert problems(manifest)["folds"] == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["file,label", "a,b"], "has no column path, only file, label; rename or add it"),
        (["a.mp4"], "has no column path and none label"),
        ([], "is empty"),
        (["path,label", "a.mp4,x", "b.mp4,x,3"], "line 3: 3 cells, the header has 2"),
        (["path,label", "a.mp4,x", "", ",x"], "line 4: it has no path"),
        (["path,label", "a/..,x"], "line 2: its path leads to no clip"),
        (["path,label", ".,x"], "line 2: its path leads to no clip"),
        (["path,label", ""], "no clips in"),
        (["path,label,split", "a.mp4,x,trian"], "line 2: a split is train, val or test, not 'trian'"),
        (["path,label,fold", "a.mp4,x,one"], "line 2: a fold is a whole number from 0, not 'one'"),
        (["path,label,split", "a,x,train", "a,x,test"], "line 2: clip a is in both train and test"),
        (["path,label", "a,x", "a,y"], "line 2: clip a has the labels x and y"),
        (["path,label,fold", "a,x,1", "a,y,2"], "line 2: clip a has the labels x and y"),
    ],
)
def test_what_is_wrong_with_a_table_is_one_line(root, lines, message):
    trees.write_text(root / "t.csv", lines)
    with pytest.raises(UserError) as error:
        read_manifest(root / "t.csv")
    assert message in str(error.value) and "t.csv" in str(error.value) and "\n" not in str(error.value)


def test_other_encodings_and_other_files_are_refused(root):
    (root / "t.csv").write_bytes(b"path,label\ncaf\xe9.mp4,x\n")
    with pytest.raises(UserError, match="byte 14 is not UTF-8"):
        read_manifest(root / "t.csv")
    (root / "t.parquet").write_bytes(b"path,label\n")
    with pytest.raises(UserError, match="is no Parquet file"):
        read_manifest(root / "t.parquet")


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_million_rows_are_read_in_seconds(root, name):
    numbers = np.arange(1_000_000)
    text = pl.Series(numbers).cast(pl.String).str.zfill(7)
    table = pl.DataFrame(
        {
            "path": "scene " + pl.Series(numbers % 50).cast(pl.String) + "/clip" + text + ".mp4",
            "label": np.array(["Angry", "anger", "Sad"])[numbers % 3],
            "fold": numbers % 5 + 1,
            "subject": numbers % 1000,
        }
    )
    (root / "scene 0").mkdir()
    (root / "scene 0" / "clip0000000.mp4").touch()
    table.write_csv(root / name) if name == "t.csv" else table.write_parquet(root / name)
    began = time.process_time()  # of all threads together, whatever else the machine is doing
    manifest = read_manifest(root / name)
    seconds = time.process_time() - began
    assert len(manifest.clips) == 1_000_000 and manifest.labels == ("Sad", "anger")
    print(f"{seconds:.1f} s")
    assert seconds < 5
