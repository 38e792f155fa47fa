import time
import unicodedata

import numpy as np
import polars as pl
import pytest
import trees

from dfer.data_manifest.datasets import read_manifest
from dfer.schemas.manifest import MISSING, VIDEO, fold_numbers
from dfer.schemas.support.errors import UserError

NO_CSV = (
    (b"PK\x03\x04\x14\x00", "is not text but an Excel or zip file; save it as text"),
    (b"\x1f\x8b\x08\x00", "is not text but compressed"),
    (b"path,label\na.mp4,x\n\0\0", "byte 19 is 0"),
)


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
        (["file,label", "a,b"], "has no column path, only file, label; rename file to path"),
        (["x,label", "a,b"], "has no column path, only x, label; rename or add it"),
        (
            ["video_name,Emotion", "a,b"],
            "no column path and none label, only video_name, Emotion; rename video_name to path, and emotion",
        ),
        (
            ["path,label", "a,x", "C:\\clips\\b.mp4,x"],
            "line 3: its path 'C:\\\\clips\\\\b.mp4' begins with a drive",
        ),
        (["path,label", "d:/b.mp4,x"], "line 2: its path 'd:/b.mp4' begins with a drive of Windows"),
        (["a.mp4"], "has no column path and none label"),
        ([], "is empty"),
        (["path,label", "a.mp4,x", "b.mp4,x,3"], "line 3: 3 cells, the header has 2"),
        (["path,label", "a.mp4,x", "", "b.mp4"], "line 4: 1 cells, the header has 2"),
        (["path,label", '"a,a.mp4",x', '"b,b.mp4"'], "line 3: 1 cells, the header has 2"),
        (["path,label", '"a.mp4,x', 'b.mp4",y'], "line 2: a quote is not around a whole cell of one line"),
        (["path,label", "a.mp4,x", 'b".mp4,x'], "line 3: a quote is not around a whole cell of one line"),
        (["path,label", 'a"b".mp4,x'], "line 2: a quote is not around a whole cell of one line"),
        (["sep=;", "path;label", "a.mp4"], "line 3: 1 cells, the header has 2"),
        (["path,label,Label", "a.mp4,x,y"], "has two columns label; rename or remove one"),
        (["path,label,label", "a.mp4,x,y"], "has two columns label; rename or remove one"),
        (["path,label,test_folds", "a.mp4,x,1"], "its column test_folds must hold lists of whole numbers"),
        (["path,label", "a.mp4,x", "", ",x"], "line 4: it has no path"),
        (["path,label", "a/..,x"], "line 2: its path 'a/..' leads to no clip"),
        (["path,label", ".,x"], "line 2: its path '.' leads to no clip"),
        (["path,label", ""], "no clips in"),
        (["path,label,split", "a.mp4,x,trian"], "line 2: a split is train, val or test, not 'trian'"),
        (["path,label,fold", "a.mp4,x,one"], "line 2: a fold is a whole number from 0, not 'one'"),
        (["path,label,split", "a,x,train", "a,x,test"], "line 2: clip a is in both train and test"),
        (["path,label", "a,x", "a,y"], "line 2: clip a has the labels x and y"),
        (["path,label,fold", "a,x,1", "a,y,2"], "line 2: clip a has the labels x and y"),
        (["path,label", "a,x", "b,x", "a,"], "line 2: clip a has the label x and no label"),
        (["path,label,subject", "a,x,1", "a,x,2"], "line 2: clip a has the subjects 1 and 2"),
        (["path,label,intensity", "a,x,1", "a,x,2"], "line 2: clip a has the intensities 1 and 2"),
        (["path,label,scene", "a,x,1", "a,x,"], "line 2: clip a has the scene 1 and no scene"),
        (["path,label,fold", "a,x,1", "a,x,", "b,x,2"], "line 2: clip a has the fold 1 and no fold"),
        (["path,label,fold", "a,x,1", "b,x,2", "a,x,2", "a,x,"], "clip a has the fold 1 and no fold"),
        (["path,label,fold", "a,x,-1"], "line 2: a fold is a whole number from 0, not '-1'"),
        (
            ["path,label,fold,split", "a,x,1,train", "a,x,2,test", "b,x,1,"],
            "line 4: clip b has no split in fold 1, and others do",
        ),
        (
            ["path,label,fold,split", "a,x,1,train", "a,x,1,test"],
            "line 2: clip a is in both train and test of fold 1",
        ),
        (
            ["path,label,fold,split", "a,x,1,train", "a,x,2,train", "b,x,2,test"],
            "line 2: fold 1 has train rows and no test row; add a row for each clip it tests, or leave out",
        ),
        (["path,label", "v/a.mp4,x"], "none of its 1 clip is on disk; they were looked for in"),
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
    for content, message in NO_CSV:
        (root / "t.csv").write_bytes(content)
        with pytest.raises(UserError, match=message):
            read_manifest(root / "t.csv")
    for content in (b"path,label\n", b"PAR1xxxx", b""):
        (root / "t.parquet").write_bytes(content)
        with pytest.raises(UserError, match=r"is no Parquet file that can be read: it is cut off"):
            read_manifest(root / "t.parquet")


def write_table(path, columns, present=("a.mp4",)):
    """A Parquet file, or CSV lines, and empty files for some of its clips."""
    if path.suffix == ".parquet":
        pl.DataFrame(columns, strict=False).write_parquet(path)
    else:
        trees.write_text(path, columns)
    for name in present:
        (path.parent / name).parent.mkdir(exist_ok=True)
        (path.parent / name).touch()
    return path


def test_in_the_long_form_split_is_the_part_in_that_fold(root):
    parts = {"a": "test train", "b": "train val", "c": "train train"}
    rows = [f"{k}.mp4,x,{f},{part}" for k, of in parts.items() for f, part in enumerate(of.split(), 1)]
    manifest = read_manifest(write_table(root / "t.csv", ["path,label,fold,split", *rows, "d.mp4,x,,"]))
    assert manifest.clips.select("path", "split", "fold", "test_folds", "train_folds").rows() == [
        ("a.mp4", None, 1, None, None),
        ("b.mp4", None, 2, None, None),
        ("c.mp4", None, None, [], [1, 2]),
        ("d.mp4", None, None, None, None),
    ]
    assert problems(manifest) == {"folds": 1, "no fold": 1, "missing": 3}


FOLDS = ("path", "split", "fold", "test_folds", "train_folds")


@pytest.mark.parametrize(
    ("lines", "clips"),
    [
        (  # every clip has one part in all its folds: only the word train tells what a fold means
            ["a,1,train", "a,2,train", "b,1,test", "c,2,test"],
            [("a", None, None, [], [1, 2]), ("b", None, None, [1], []), ("c", None, None, [2], [])],
        ),
        (["a,1,train", "b,1,test"], [("a", "train", None, None, None), ("b", "test", None, None, None)]),
        (["a,1,dev", "a,2,test"], [("a", None, None, [1, 2], [])]),
        (
            ["a,1,test", "a,2,test", "b,1,test"],
            [("a", "test", None, [1, 2], []), ("b", "test", 1, None, None)],
        ),
    ],
)
def test_a_clip_that_has_one_part_in_all_its_folds_is_trained_on_or_tested_as_said(root, lines, clips):
    rows = [f"{line[0]}.mp4,x{line[1:]}" for line in lines]
    manifest = read_manifest(write_table(root / "t.csv", ["path,label,fold,split", *rows]))
    rows = manifest.clips.with_columns(path=pl.col("path").str.head(1)).select(FOLDS).rows()
    assert rows == clips


def test_a_fold_and_a_split_in_a_row_a_clip_are_read_apart_and_that_is_said(root):
    rows = ["a.mp4,x,1,train", "b.mp4,x,2,train", "c.mp4,x,,test"]
    manifest = read_manifest(write_table(root / "t.csv", ["path,label,fold,split", *rows]))
    assert manifest.clips.select("fold", "split").rows() == [(1, "train"), (2, "train"), (None, "test")]
    told = next(problem for problem in manifest.problems if problem.kind == "folds")
    assert told.line.startswith(
        "2 clips have a fold and a split in one row: the fold is read as the one that tests"
    )
    manifest.clips.write_parquet(root / "manifest.parquet")
    assert read_manifest(root / "manifest.parquet").clips.equals(manifest.clips)


def test_rows_again_without_a_fold_leave_the_folds_of_others_alone(root):
    rows = ["a.mp4,x,1", "a.mp4,x,2", "b.mp4,x,", "b.mp4,x,", "c.mp4,y,3", "c.mp4,y,3"]
    manifest = read_manifest(write_table(root / "t.csv", ["path,label,fold", *rows]))
    assert manifest.clips.select("path", "fold", "test_folds", "train_folds").rows() == [
        ("a.mp4", None, [1, 2], [3]),
        ("b.mp4", None, None, None),
        ("c.mp4", 3, None, None),
    ]


@pytest.mark.parametrize("column", ["label", "split", "fold"])
def test_clips_that_lack_what_others_have_are_counted(root, column):
    filled = {"label": "x", "split": "train", "fold": "1"}[column]
    lines = [f"path,{column},{'label' if column != 'label' else 'notes'}"]
    lines += [f"a.mp4,{filled},x", "b.mp4,,x", "c.mp4,,x"]
    manifest = read_manifest(write_table(root / "t.csv", lines, ("a.mp4", "b.mp4", "c.mp4")))
    (found,) = manifest.problems
    assert found.line == (
        f"2 of 3 clips have no {column}: by {column}, they are never trained on or judged (b.mp4, c.mp4)"
    )


def test_words_for_an_empty_cell_are_no_class_and_that_is_said(root):
    words = ["nan", "None", "NA", "n/a", "NULL"]
    lines = ["path,label,split,fold,subject", "a.mp4,happy,test,1,s1"]
    lines += [f"{k}.mp4,{word},{word},{word},{word}" for k, word in enumerate(words)]
    manifest = read_manifest(write_table(root / "t.csv", lines))
    assert manifest.labels == ("happy",)
    assert manifest.clips.select("label", "split", "fold", "subject").null_count().row(0) == (5, 5, 5, 5)
    assert "5 labels are read as none: NA, NULL, None, n/a, nan" in [p.line for p in manifest.problems]


def test_numbers_that_a_table_holds_as_floats_are_whole_and_nan_is_none(root):
    numbers = [1.0, 2.5, float("nan"), None]
    columns = {"path": [f"{k}.mp4" for k in "abcd"], "label": numbers, "subject": numbers}
    columns["fold"] = [1.0, 2.0, float("nan"), None]
    clips = read_manifest(write_table(root / "t.parquet", columns)).clips
    assert clips["label"].to_list() == clips["subject"].to_list() == ["1", "2.5", None, None]
    assert clips["fold"].to_list() == [1, 2, None, None]


@pytest.mark.parametrize("label", [["x"], {"emotion": "x"}, b"\xff"])
def test_a_column_that_holds_no_text_is_refused(root, label):
    table = write_table(root / "t.parquet", {"path": ["a.mp4"], "label": [label]})
    with pytest.raises(UserError, match="its column label must hold text or numbers"):
        read_manifest(table)


def test_a_manifest_read_again_keeps_all_it_says(root):
    rows = ["a.mp4,x,1,s,war,low", "a.mp4,x,2,s,war,low", "b.mp4,y,2,t,,", "c.mp4,x,3,t,,"]
    first = read_manifest(
        write_table(root / "t.csv", ["path,label,fold,subject,scene,intensity", *rows])
    ).clips
    first.write_parquet(root / "manifest.parquet")
    assert read_manifest(root / "manifest.parquet").clips.equals(first)


@pytest.mark.parametrize(
    ("fold", "tested", "trained", "message"),
    [
        (1, [2], None, "row 1: it has both a fold and lists of folds"),
        (None, [1, 2], [2, 3], "row 1: a fold is in test_folds and in train_folds"),
        (None, [-1], [2], "row 1: a list of folds holds a number below 0"),
        (None, [], [2, -3], "row 1: a list of folds holds a number below 0"),
        (None, ["one"], None, "its column test_folds must hold lists of whole numbers"),
    ],
)
def test_lists_of_folds_that_contradict_are_refused(root, fold, tested, trained, message):
    columns = {"path": ["a.mp4"], "label": ["x"], "fold": [fold]}
    columns |= {"test_folds": [tested], "train_folds": [trained]}
    with pytest.raises(UserError, match=message):
        read_manifest(write_table(root / "t.parquet", columns))


def test_a_clip_with_lists_of_folds_and_a_second_row_is_refused(root):
    columns = {"path": ["a.mp4"] * 2, "label": ["x"] * 2, "test_folds": [[1, 2], [1]]}
    with pytest.raises(UserError, match=r"line 1: clip a.mp4 has lists of folds and a second row; keep one"):
        read_manifest(write_table(root / "t.parquet", columns))


def test_a_manifest_away_from_its_clips_says_where_it_looked(root, tmp_path):
    table = write_table(root / "t.csv", ["path,label", "v/a.mp4,x"], ["v/a.mp4"])
    (tmp_path / "cache").mkdir()
    read_manifest(table).clips.write_parquet(tmp_path / "cache" / "manifest.parquet")
    with pytest.raises(UserError) as error:
        read_manifest(tmp_path / "cache" / "manifest.parquet")
    assert f"looked for in {tmp_path / 'cache'}, the first as {tmp_path / 'cache' / 'v/a.mp4'}" in str(
        error.value
    )


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_letters_that_unicode_writes_in_two_ways_are_one(root, form):
    name = unicodedata.normalize(form, "é/ü.mp4")
    other = unicodedata.normalize("NFD" if form == "NFC" else "NFC", "é/ü.mp4")
    lines = [
        "path,label,split",
        f"{other},gêné,train",
        "a.mp4," + unicodedata.normalize("NFD", "gêné") + ",test",
    ]
    manifest = read_manifest(write_table(root / "t.csv", lines, ("a.mp4", name)))
    assert manifest.labels == ("gêné",) and not manifest.problems
    assert manifest.clips["path"].to_list() == ["a.mp4", name] and set(manifest.clips["kind"]) == {VIDEO}
    trees.write_text(root / "t.csv", [*lines, f"{name},gêné,test"])
    with pytest.raises(UserError, match="is in both train and test"):
        read_manifest(root / "t.csv")


def test_rows_whose_labels_differ_in_spelling_alone_are_one(root):
    lines = ["path,label", "a.mp4,happy", "a.mp4,Happiness", "b.mp4,Foo", "b.mp4,foo"]
    manifest = read_manifest(write_table(root / "t.csv", lines, ("a.mp4", "b.mp4")))
    assert manifest.clips["label"].to_list() == ["happy", "Foo"] and problems(manifest) == {"duplicate": 2}


@pytest.mark.parametrize(
    "lines",
    [
        ["sep=;", "path;label", "a.mp4;x"],
        ['"sep=|"', "path|label", "a.mp4|x"],
        ['path;label;"a,b,c"', "a.mp4;x;"],
        ["", "  ", "path,label", "", "a.mp4,x", ",", " "],
        ["path\tlabel", 'a.mp4\t"x"'],
    ],
)
def test_the_separator_is_the_one_that_is_said_or_the_headers(root, lines):
    manifest = read_manifest(write_table(root / "t.csv", lines))
    assert manifest.clips.select("path", "label").rows() == [("a.mp4", "x")] and not manifest.problems


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
    assert seconds < 5


def test_clips_that_are_on_disk_are_found_in_seconds(root):
    """18 000 videos and 2000 frame folders: here every clip costs a look at the disk."""
    paths = [f"scene {k % 50}/{k}" for k in range(2000)] + [f"scene {k % 50}/{k}.mp4" for k in range(18_000)]
    for path in paths[:2000]:
        trees.write_files(root / path, "1.jpg")
    for path in paths[2000:]:
        (root / path).touch()
    pl.DataFrame({"path": paths, "label": ["x", "y"] * 10_000}).write_csv(root / "t.csv")
    began = time.process_time()
    manifest = read_manifest(root / "t.csv")
    seconds = time.process_time() - began
    assert not manifest.problems and sorted(manifest.clips["kind"].value_counts()["count"]) == [2000, 18_000]
    assert seconds < 2
