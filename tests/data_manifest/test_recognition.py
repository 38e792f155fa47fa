"""What is no whole dataset, or not the dataset's own folder, is said instead of read as a tree of odd labels."""

import shutil
from pathlib import Path

import pytest
import trees

from dfer.data_manifest.datasets import READERS, read_manifest
from dfer.data_manifest.reader import Options
from dfer.schemas.support.errors import UserError

BUILDS = {
    "dfew": lambda root, frames: trees.build_dfew(root, [frames], clips=5),
    "ferv39k": lambda root, frames: trees.build_ferv39k(root, [frames]),
    "mafw": lambda root, frames: (
        trees.build_mafw(root, []),
        trees.write_files(root, "data/clips/00001.mp4"),
    ),
    "afew": lambda root, frames: trees.build_afew(root, []),
    "crema-d": lambda root, frames: trees.write_files(root, "VideoFlash/1001_DFA_ANG_XX.flv"),
    "ravdess": lambda root, frames: trees.write_files(root, "Actor_01/01-01-06-01-02-01-12.mp4"),
}
LISTS = "EmoLabel_DataSplit"
SCENES = "4_setups/All_scenes"
SETS = "Train & Test Set/single/no_caption"


def rename_children(folder, change):
    for child in list(folder.iterdir()):
        child.rename(child.with_name("_"))
        child.with_name("_").rename(child.with_name(change(child.name)))


@pytest.mark.parametrize("name", ["dfew", "ferv39k", "mafw", "afew"])
def test_the_folder_above_a_dataset_names_the_right_one(root, frames, name):
    BUILDS[name](root / "inner", frames)
    trees.write_files(root, "other/a.mp4")
    with pytest.raises(
        UserError, match=f"inner looks like {name}; give that folder.*lists .--dataset folders"
    ):
        read_manifest(root)
    assert read_manifest(root, "folders").dataset == "folders"


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("dfew", "Clip"),
        ("dfew", "Clip/clip_224x224"),
        ("ferv39k", "2_ClipsforFaceCrop"),
        ("ferv39k", "2_ClipsforFaceCrop/Action"),
        ("mafw", "data"),
        ("mafw", "data/clips"),
        ("afew", "Train"),
        ("afew", "Train/../Val/Angry"),
    ],
)
def test_a_folder_inside_a_dataset_names_the_right_one(root, frames, name, inside):
    BUILDS[name](root, frames)
    with pytest.raises(
        UserError, match=rf"{inside} is a part of .*\(copy\), which looks like {name}; give that"
    ):
        read_manifest(root / inside)
    assert read_manifest(root / inside, "folders").dataset == "folders"


def test_a_folder_inside_a_dataset_is_known_from_within_it(root, frames, monkeypatch):
    BUILDS["dfew"](root, frames)
    monkeypatch.chdir(root / "Clip" / "clip_224x224")
    with pytest.raises(UserError, match=r"^\. is a part of .*\(copy\), which looks like dfew"):
        read_manifest(Path())


@pytest.mark.parametrize(
    ("name", "spoil", "lacks"),
    [
        (
            "dfew",
            lambda root: shutil.rmtree(root / LISTS),
            "folder Clip/clip_224x224 looks like dfew.* EmoLabel_DataSplit/",
        ),
        ("ferv39k", lambda root: (root / SCENES / "train_All.csv").unlink(), "4_setups/All_scenes/{train,"),
        (
            "ferv39k",
            lambda root: shutil.rmtree(root / "4_setups"),
            "like ferv39k.* 4_setups/All_scenes/{train,",
        ),
        ("mafw", lambda root: (root / SETS).rename(root / "x"), "like mafw.* Train & Test Set/single/no_cap"),
        (
            "afew",
            lambda root: (root / "Val").rename(root / "Val_AFEW") and shutil.rmtree(root / "Train"),
            "{Train,",
        ),
        (
            "crema-d",
            lambda root: rename_children(root / "VideoFlash", str.lower),
            "VideoFlash looks like crema-d.* VideoFlash/<actor>",
        ),
        (
            "ravdess",
            lambda root: trees.write_files(root, "AA/1.mp4", "AA/2.mp4"),
            "folder Actor_01 looks like ravdess.* Actor_<NN>/",
        ),
    ],
)
def test_a_dataset_that_is_not_whole_says_what_it_lacks(root, frames, name, spoil, lacks):
    BUILDS[name](root, frames)
    spoil(root)
    with pytest.raises(UserError, match=lacks) as error:
        read_manifest(root)
    assert str(error.value).endswith(f"or say --dataset {name} (--dataset folders reads it as any tree)")
    assert read_manifest(root, "folders").dataset == "folders"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("dfew", lambda root: (root / LISTS).rename(root / LISTS.lower())),
        ("dfew", lambda root: rename_children(root / LISTS, str.title)),
        ("dfew", lambda root: [rename_children(part, str.upper) for part in (root / LISTS).iterdir()]),
        ("ferv39k", lambda root: rename_children(root / SCENES, str.lower)),
        ("mafw", lambda root: rename_children(root / SETS, str.title)),
        ("mafw", lambda root: [rename_children(fold, str.title) for fold in (root / SETS).iterdir()]),
        ("ferv39k", lambda root: (root / SCENES).rename(root / "4_setups/all_scenes")),
        ("mafw", lambda root: [shutil.rmtree(root / SETS / f"set_{k}") for k in (1, 3, 4, 5)]),
        ("mafw", lambda root: (root / "Train & Test Set").rename(root / "train & test set")),
        ("afew", lambda root: [rename_children(root / part, str.lower) for part in ("Train", "Val")]),
        ("afew", lambda root: (root / "Val/Extra").mkdir()),
        ("afew", lambda root: shutil.rmtree(root / "Val/Sad")),
    ],
)
def test_capitals_and_single_folders_do_not_hide_a_dataset(root, frames, name, change):
    BUILDS[name](root, frames)
    change(root)
    manifest = read_manifest(root)
    assert manifest.dataset == name and not manifest.clips["label"].null_count()


def test_what_a_dataset_lacks_is_whole_sentences(root, frames):
    BUILDS["dfew"](root, frames)
    shutil.rmtree(root / LISTS)
    with pytest.raises(UserError, match=r"labels 1–7: happiness, .*, fear\)\. Mend that"):
        read_manifest(root)


def test_a_folder_of_the_name_clip_is_not_dfew(root):
    trees.write_files(root, "clip/happy/a.mp4", "other/sad/b.mp4")
    assert read_manifest(root).dataset == "folders"


@pytest.mark.parametrize(
    "names", [("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"), ("Angry",)]
)
def test_other_labels_in_split_folders_are_not_afew(root, names):
    trees.write_files(root, *(f"{part}/{name}/a.avi" for part in ("Train", "Val") for name in names))
    assert read_manifest(root).dataset == "folders"


@pytest.mark.parametrize("name", BUILDS)
def test_only_what_has_compound_labels_takes_the_option(root, frames, name):
    BUILDS[name](root, frames)
    if next(reader for reader in READERS if reader.name == name).compound:
        assert read_manifest(root, options=Options(compound=True)).dataset == name
        return
    with pytest.raises(UserError, match=f"{name} has no compound labels; leave out --compound"):
        read_manifest(root, options=Options(compound=True))
