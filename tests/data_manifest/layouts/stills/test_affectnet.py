import numpy as np
import pytest
import trees
from still_trees import AFFECTNET_HEADER, build_affectnet
from tree_files import write_text

from dfer.data_manifest.datasets import read_manifest
from dfer.data_manifest.layouts.stills.affectnet import EIGHT
from dfer.schemas.manifest import IMAGE, MISSING
from dfer.schemas.support.errors import UserError

ORDER = ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"]
LISTS = "Manually_Annotated_file_lists"
PICTURES = "Manually_Annotated/Manually_Annotated_Images"


def lines(root):
    return [problem.line for problem in read_manifest(root).problems]


def refusal(root):
    with pytest.raises(UserError) as error:
        read_manifest(root, "affectnet")
    return str(error.value).removeprefix(f"{root}/")


def test_tables_are_read_with_or_without_a_header(root):
    ids = build_affectnet(root, [])
    manifest = read_manifest(root)
    assert manifest.dataset == "affectnet" and manifest.labels == tuple(sorted(EIGHT))
    clips = {row["clip_id"]: row for row in manifest.clips.iter_rows(named=True)}
    assert clips.keys() == set(ids) and set(manifest.clips["kind"]) == {IMAGE}
    assert [clips[name]["label"] for name in ids] == [*ORDER, None, None, None] * 3
    assert [clips[name]["split"] for name in ids] == ["train"] * 22 + ["val"] * 11
    assert all(row["path"] == f"{PICTURES}/{name}" for name, row in clips.items())
    assert lines(root) == [
        f"clips without a label: annotated as {what}: 3 of 33 ({', '.join(ids[place::11])})"
        for what, place in {"none (8)": 8, "uncertain (9)": 9, "no face (10)": 10}.items()
    ]


def test_tables_next_to_the_folders_of_pictures_are_read(root):
    trees.write_files(root, "1/a.jpg", "2/b.jpg")
    for name, row in {"training.csv": "1/a.jpg", "validation.csv": "2/b.jpg"}.items():
        write_text(root / name, [AFFECTNET_HEADER, f"{row},0,0,9,9,1;2,6,0.1,0.2"], end="\r\n", bom=True)
    manifest = read_manifest(root)
    assert manifest.clips.select("path", "label", "split").rows() == [
        ("1/a.jpg", "anger", "train"),
        ("2/b.jpg", "anger", "val"),
    ]
    assert not manifest.problems


def test_missing_pictures_pictures_in_no_table_and_wrong_numbers_are_reported(root):
    ids = build_affectnet(root, [])
    file = root / LISTS / "training.csv"
    file.write_text(file.read_text().replace(",1,-0.5,", ",11,-0.5,", 1))
    (root / PICTURES / ids[0]).unlink()
    trees.write_files(root, f"{PICTURES}/689/extra.jpg")
    manifest = read_manifest(root)
    assert manifest.clips.filter(kind=MISSING)["clip_id"].to_list() == [ids[0]]
    assert lines(root)[3:] == [
        f"labels that are not a class of this dataset, ignored: 1 ({ids[1]}: 11)",
        f"listed but not on disk: 1 of 33 ({PICTURES}/{ids[0]})",
        f"on disk but in no list, left out: 1 ({PICTURES}/689/extra.jpg)",
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            b"689/x.jpg,0,0\n",
            "cut off, without a path or an expression; unpack the table again, or remove the line",
        ),
        (b"\xff.jpg,0,0,9,9,1;2,6,0.1,0.2\n", "not UTF-8; download or unpack it again"),
        (
            b"689/x.jpg,0,0,689/y.jpg,0,0,9,9,1;2,6,0.1,0.2\n",
            "12 cells where the first line has 9; download or unpack it again",
        ),
    ],
)
@pytest.mark.parametrize(("table", "line"), [("training.csv", 24), ("validation.csv", 12)])
def test_a_damaged_row_is_refused_with_its_line(root, row, message, table, line):
    build_affectnet(root, [])
    file = root / LISTS / table
    file.write_bytes(file.read_bytes() + row)
    assert refusal(root) == f"{LISTS}/{table}, line {line}: {message}"


def test_a_table_whose_first_line_is_cut_off_is_not_left_out(root):
    build_affectnet(root, [])
    file = root / LISTS / "validation.csv"
    file.write_text(file.read_text()[100:])
    assert refusal(root) == (
        f"{LISTS}/validation.csv, line 1: neither AffectNet's header nor one of its rows of 9 cells; "
        "unpack the table again"
    )


def test_a_table_with_another_header_is_not_affectnets(root):
    write_text(root / "training.csv", ["path,label", "a.jpg,3"])
    assert refusal(root).endswith(
        "no training.csv with the columns of AffectNet, and no train_set/annotations; complete it"
    )


def test_annotations_of_the_smaller_release_are_read(root):
    ids = build_affectnet(root, [], "annotations")
    trees.write_files(root, "train_set/annotations/._0_exp.npy", "train_set/annotations/0_lnd.npy")
    manifest = read_manifest(root)
    clips = {row["clip_id"]: row for row in manifest.clips.iter_rows(named=True)}
    assert manifest.dataset == "affectnet" and not manifest.problems and set(clips) == set(ids)
    assert [clips[name]["label"] for name in ids] == [ORDER[k % 8] for k in range(33)]
    assert clips["train_set/21"]["path"] == "train_set/images/21.jpg" and clips["val_set/0"]["split"] == "val"
    assert set(manifest.clips["kind"]) == {IMAGE}


def test_annotations_without_a_picture_or_a_number_are_reported(root):
    build_affectnet(root, [], "annotations")
    folder = root / "train_set" / "annotations"
    np.save(folder / "1_exp.npy", np.array(["not a number"]))
    (folder / "2_exp.npy").write_bytes(b"")
    np.save(folder / "3_exp.npy", np.array({"a": 1}, dtype=object), allow_pickle=True)
    np.save(folder / "4_exp.npy", np.int32(10))
    np.save(folder / "5_exp.npy", np.float64(5))
    np.save(folder / "6_exp.npy", 42)
    np.save(folder / "8_exp.npy", np.inf)
    np.save(folder / "9_exp.npy", 2.7)
    (root / "train_set/images/7.jpg").unlink()
    trees.write_files(root, "train_set/images/99.png", "val_set/images/0.png")
    (root / "val_set/images/0.jpg").unlink()
    manifest = read_manifest(root)
    labels = dict(manifest.clips.select("clip_id", "label").iter_rows())
    assert [labels[f"train_set/{k}"] for k in range(1, 6)] == [None] * 4 + ["disgust"]
    assert manifest.clips.filter(clip_id="val_set/0")["path"].item() == "val_set/images/0.png"
    assert lines(root) == [
        "annotations that cannot be read: 5 (train_set/1, train_set/2, train_set/3, …)",
        "clips without a label: annotated as no face (10): 1 of 33 (train_set/4)",
        "labels that are not a class of this dataset, ignored: 1 (train_set/6: 42)",
        "listed but not on disk: 1 of 33 (train_set/images/7.jpg)",
        "on disk but in no list, left out: 1 (train_set/images/99.png)",
    ]


def test_a_folder_of_its_pictures_alone_is_recognised_as_incomplete(root):
    build_affectnet(root, [])
    for file in (root / LISTS).iterdir():
        file.unlink()
    with pytest.raises(UserError, match="looks like affectnet, but this is missing or incomplete here"):
        read_manifest(root)
