"""Which dataset a folder is taken for; an incomplete dataset is refused, not read as a tree of odd labels."""

import shutil
from pathlib import Path

import pytest
import still_trees
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
    "afew": lambda root, frames: trees.build_afew(root, [], aligned=True),
    "crema-d": lambda root, frames: trees.write_files(root, "VideoFlash/1001_DFA_ANG_XX.flv"),
    "ravdess": lambda root, frames: trees.write_files(root, "Actor_01/01-01-06-01-02-01-12.mp4"),
    "ferplus": lambda root, frames: still_trees.build_ferplus(root, [], "parts"),
    "raf-db": lambda root, frames: still_trees.build_raf_db(root, []),
    "affectnet": lambda root, frames: still_trees.build_affectnet(root, [], train=4, val=4),
    "fer2013": lambda root, frames: still_trees.build_fer2013(root, []),
    "stills": lambda root, frames: still_trees.build_stills(root, []),
}
LISTS = "EmoLabel_DataSplit"
SCENES = "4_setups/All_scenes"
SETS = "Train & Test Set/single/no_caption"


def rename_children(folder, change):
    for child in list(folder.iterdir()):
        child.rename(child.with_name("_"))
        child.with_name("_").rename(child.with_name(change(child.name)))


def refusal(root):
    """Why a folder is refused; --dataset folders reads it all the same."""
    with pytest.raises(UserError) as error:
        read_manifest(root)
    assert read_manifest(root, "folders").dataset == "folders"
    return str(error.value)


@pytest.mark.parametrize("name", ["dfew", "ferv39k", "mafw", "afew", "ferplus", "raf-db", "affectnet"])
def test_the_folder_above_a_dataset_is_refused(root, frames, name):
    BUILDS[name](root / "inner", frames)
    trees.write_files(root, "other/a.mp4")
    message = refusal(root)
    assert message.startswith(f"{root}: the folder inner/") and f"looks like {name}, but this" in message
    assert f"give {name}'s top folder" in message


@pytest.mark.parametrize(
    ("name", "inside", "found"),
    [
        ("dfew", "Clip", "clip_224x224"),
        ("dfew", "Clip/clip_224x224", "a dataset (copy)/Clip/clip_224x224"),
        ("ferv39k", "2_ClipsforFaceCrop", "/a dataset (copy)/2_ClipsforFaceCrop"),
        ("ferv39k", "2_ClipsforFaceCrop/Action", "a dataset (copy)/2_ClipsforFaceCrop/Action"),
        ("afew", "Train_AFEW", "/a dataset (copy)/Train_AFEW"),
        ("afew", "Train_AFEW/../Val_AFEW/Angry", "a dataset (copy)/Val_AFEW/Angry"),
    ],
)
def test_a_folder_inside_a_dataset_is_refused(root, frames, name, inside, found):
    BUILDS[name](root, frames)
    message = refusal(root / inside)
    assert f"{found} looks like {name}, but this is missing" in message
    assert f"give {name}'s top folder" in message


def test_the_current_folder_inside_a_dataset_is_refused(root, frames, monkeypatch):
    BUILDS["dfew"](root, frames)
    monkeypatch.chdir(root / "Clip" / "clip_224x224")
    assert refusal(Path()).startswith(".: the folder a dataset (copy)/Clip/clip_224x224 looks like dfew")


@pytest.mark.parametrize(
    ("name", "spoil", "found", "missing"),
    [
        (
            "dfew",
            lambda root: shutil.rmtree(root / LISTS),
            "Clip/clip_224x224",
            "EmoLabel_DataSplit/{train,test}(single-labeled)/set_{1..5}.csv",
        ),
        (
            "ferv39k",
            lambda root: (root / SCENES / "train_All.csv").unlink(),
            "2_ClipsforFaceCrop",
            "4_setups/All_scenes/{train,",
        ),
        (
            "ferv39k",
            lambda root: shutil.rmtree(root / "4_setups"),
            "2_ClipsforFaceCrop",
            "4_setups/All_scenes/{train,",
        ),
        (
            "mafw",
            lambda root: (root / SETS).rename(root / "x"),
            "Train & Test Set",
            "Train & Test Set/single/no_caption",
        ),
        ("afew", lambda root: shutil.rmtree(root / "Train_AFEW"), "Val_AFEW", "{Train,Val}/<Emotion>/"),
        (
            "crema-d",
            lambda root: rename_children(root / "VideoFlash", str.lower),
            "VideoFlash",
            "<actor>_<sentence>",
        ),
        ("ravdess", lambda root: trees.write_files(root, "A/1.mp4", "A/2.mp4"), "Actor_01", "Actor_<NN>/"),
    ],
)
def test_an_incomplete_dataset_is_refused_with_what_is_missing(root, frames, name, spoil, found, missing):
    BUILDS[name](root, frames)
    spoil(root)
    message = refusal(root)
    start = f"{root}: the folder {found} looks like {name}, but this is missing or incomplete here: {missing}"
    assert message.startswith(start)
    assert message.endswith(f"or choose --dataset {name} or --dataset folders (any tree)")


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
        (
            "afew",
            lambda root: [rename_children(root / f"{part}_AFEW", str.lower) for part in ("Train", "Val")],
        ),
        ("afew", lambda root: (root / "Val_AFEW/Extra").mkdir()),
        ("afew", lambda root: shutil.rmtree(root / "Val_AFEW/Sad")),
        ("raf-db", lambda root: rename_children(root, str.upper)),
        ("raf-db", lambda root: rename_children(root / "EmoLabel", str.upper)),
        ("affectnet", lambda root: rename_children(root, str.lower)),
        ("fer2013", lambda root: rename_children(root, str.upper)),
        ("stills", lambda root: rename_children(root, str.title)),
    ],
)
def test_a_dataset_is_recognised_in_any_case_and_with_a_folder_more_or_less(root, frames, name, change):
    BUILDS[name](root, frames)
    change(root)
    manifest = read_manifest(root)
    assert manifest.dataset == name and not manifest.clips["label"].null_count()


def test_a_folder_named_clip_is_not_dfew(root):
    trees.write_files(root, "clip/happy/a.mp4", "other/sad/b.mp4")
    assert read_manifest(root).dataset == "folders"


@pytest.mark.parametrize(
    "names", [("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"), ("Happy",)]
)
def test_other_labels_in_split_folders_are_not_afew(root, names):
    trees.write_files(root, *(f"{part}/{name}/a.avi" for part in ("Train", "Val") for name in names))
    assert read_manifest(root).dataset == "folders"


@pytest.mark.parametrize("name", BUILDS)
def test_compound_is_refused_for_datasets_without_compound_labels(root, frames, name):
    BUILDS[name](root, frames)
    if next(reader for reader in READERS if reader.name == name).compound:
        assert read_manifest(root, options=Options(compound=True)).dataset == name
        return
    with pytest.raises(UserError, match=f"{name} has no compound labels; leave out --compound"):
        read_manifest(root, options=Options(compound=True))
