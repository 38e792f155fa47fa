"""Every dataset of stills as its owners ship it, small.

    build_raf_db(root, [picture, picture])   # real pictures, used in turn
    build_raf_db(root, [])                   # files of one byte: enough for a manifest

`pictures` are arrays (H, W, 3) uint8. Every function returns the ids of its clips, as in the manifest, in the order
in which they were made.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tree_files import write_files, write_text

FER_SIDE = 48  # pixels of FER2013's pictures
FER_HEADER = "emotion,pixels,Usage"
FER_USAGES = ("Training", "PublicTest", "PrivateTest")
FERPLUS_HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
# In the order of the header's votes. Most are for each class in turn; then a tie, and most for unknown.
FERPLUS_VOTES = (
    *(tuple(8 if k == place else int(k == place + 1) * 2 for k in range(10)) for place in range(8)),
    (5, 0, 0, 5, 0, 0, 0, 0, 0, 0),
    (1, 0, 0, 0, 0, 0, 0, 2, 7, 0),
)
AFFECTNET_HEADER = (
    "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
)


def write_picture(path: Path, pictures: Sequence[np.ndarray], number: int) -> None:
    """Write picture `number` (used in turn), or one byte if there is none."""
    if not pictures:
        write_files(path.parent, path.name)
        return
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pictures[number % len(pictures)]).save(path)


def grey_pixels(pictures: Sequence[np.ndarray], number: int) -> str:
    """Picture `number` as FER2013 writes it, 48 × 48 numbers."""
    if not pictures:
        return " ".join(["0"] * FER_SIDE**2)
    from PIL import Image

    picture = Image.fromarray(pictures[number % len(pictures)]).convert("L").resize((FER_SIDE, FER_SIDE))
    return " ".join(map(str, np.asarray(picture).ravel()))


def build_stills(
    root: Path,
    pictures: Sequence[np.ndarray],
    splits: Sequence[str] = ("train", "test"),
    labels: Sequence[str] = ("happy", "sad"),
    each: int = 3,
) -> list[str]:
    """A folder per label, in a folder per split if there are splits."""
    tops = [f"{split}/{label}" if split else label for split in splits or ("",) for label in labels]
    ids = [f"{top}/{number}.jpg" for top in tops for number in range(each)]
    for number, name in enumerate(ids):
        write_picture(root / name, pictures, number)
    return ids


def build_fer2013(
    root: Path, pictures: Sequence[np.ndarray], rows: int = 21, name: str = "fer2013.csv"
) -> list[str]:
    """FER2013: emotions 0–6 in turn; the last third is for PublicTest and PrivateTest."""
    lines = [f"{number % 7},{grey_pixels(pictures, number)},{_usage(number, rows)}" for number in range(rows)]
    write_text(root / name, [FER_HEADER, *lines])
    return [f"{name}/{number:06}" for number in range(rows)]


def build_ferplus(
    root: Path, pictures: Sequence[np.ndarray], how: str = "rows", removed: Sequence[int] = (2,)
) -> list[str]:
    """FER+: 20 pictures, FERPLUS_VOTES twice.

    how: "rows", `fer2013new.csv` next to `fer2013.csv`; "list", the same and folders of pictures; "parts", folders of
        pictures with their own `label.csv`
    removed: pictures without a name in the list
    """
    count = 2 * len(FERPLUS_VOTES)
    votes = [",".join(map(str, FERPLUS_VOTES[k % len(FERPLUS_VOTES)])) for k in range(count)]
    names = ["" if k in removed else f"fer{k:07}" for k in range(count)]
    usages = [_usage(k, count) for k in range(count)]
    folders = dict(zip(FER_USAGES, ("FER2013Train", "FER2013Valid", "FER2013Test"), strict=True))
    if how == "rows":
        build_fer2013(root, pictures, count)
    if how in ("rows", "list"):
        lines = [
            f"{usage},{name and name + '.png'},{of_name}"
            for usage, name, of_name in zip(usages, names, votes, strict=True)
        ]
        write_text(root / "fer2013new.csv", [FERPLUS_HEADER, *lines])
    if how in ("list", "parts"):
        for k in range(count):
            if names[k]:
                write_picture(root / folders[usages[k]] / f"{names[k]}.png", pictures, k)
    if how == "parts":
        for usage, folder in folders.items():
            chosen = [k for k in range(count) if usages[k] == usage and names[k]]
            write_text(
                root / folder / "label.csv", [f'{names[k]}.png,"(0, 0, 48, 48)",{votes[k]}' for k in chosen]
            )
    return [name for name in names if name]


def build_raf_db(
    root: Path, pictures: Sequence[np.ndarray], train: int = 14, test: int = 7, how: str = "aligned"
) -> list[str]:
    """RAF-DB: labels 1–7 in turn.

    how: "aligned" or "original", the pictures that there are; "folders", sorted by label
    """
    ids = [f"train_{k + 1:05}" for k in range(train)] + [f"test_{k + 1:04}" for k in range(test)]
    labels = [k % 7 + 1 for k in range(len(ids))]
    for number, (name, label) in enumerate(zip(ids, labels, strict=True)):
        file = {
            "aligned": f"Image/aligned/{name}_aligned.jpg",
            "original": f"Image/original/{name}.jpg",
            "folders": f"DATASET/{name.split('_')[0]}/{label}/{name}_aligned.jpg",
        }[how]
        write_picture(root / file, pictures, number)
    if how == "folders":
        for part in ("train", "test"):
            rows = [f"{n}_aligned.jpg,{k}" for n, k in zip(ids, labels, strict=True) if n.startswith(part)]
            write_text(root / f"{part}_labels.csv", ["image,label", *rows])
    else:
        lines = [f"{name}.jpg {label}" for name, label in zip(ids, labels, strict=True)]
        write_text(root / "EmoLabel" / "list_patition_label.txt", lines)
        write_files(root, "Annotation/auto/train_00001_auto_attri.txt")
    return ids


def build_affectnet(
    root: Path, pictures: Sequence[np.ndarray], how: str = "tables", train: int = 22, val: int = 11
) -> list[str]:
    """AffectNet: expressions 0–10 in turn in the tables, 0–7 in the annotations.

    how: "tables", with folders as unpacked; "annotations", the smaller release
    """
    return (_affectnet_tables if how == "tables" else _affectnet_annotations)(root, pictures, train, val)


def _affectnet_tables(root: Path, pictures: Sequence[np.ndarray], train: int, val: int) -> list[str]:
    ids = [f"{k % 3 + 689}/{k:056x}.{'jpg' if k % 4 else 'JPG'}" for k in range(train + val)]
    landmarks = ";".join(["1.5"] * 136)
    rows = [f"{name},0,0,9,9,{landmarks},{k % 11},-0.5,0.25" for k, name in enumerate(ids)]
    lists = root / "Manually_Annotated_file_lists"
    write_text(lists / "training.csv", [AFFECTNET_HEADER, *rows[:train]])
    write_text(lists / "validation.csv", rows[train:])  # some copies have no header
    for number, name in enumerate(ids):
        write_picture(root / "Manually_Annotated" / "Manually_Annotated_Images" / name, pictures, number)
    return ids


def _affectnet_annotations(root: Path, pictures: Sequence[np.ndarray], train: int, val: int) -> list[str]:
    names = [f"train_set/{k}" for k in range(train)] + [f"val_set/{k}" for k in range(val)]
    for number, name in enumerate(names):
        part, stem = name.split("/")
        write_picture(root / part / "images" / f"{stem}.jpg", pictures, number)
        folder = root / part / "annotations"
        folder.mkdir(exist_ok=True)
        expression = number % 8
        np.save(folder / f"{stem}_exp.npy", str(expression) if part == "train_set" else expression)
        np.save(folder / f"{stem}_val.npy", 0.5)
    return names


def _usage(number: int, rows: int) -> str:
    """The first two thirds for training, the rest half and half."""
    return FER_USAGES[0 if 3 * number < 2 * rows else 1 + number % 2]
