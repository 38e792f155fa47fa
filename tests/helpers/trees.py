"""Every dataset's tree as its owners ship it: names, headers, zero padding, other files; small or full size.

    build_ravdess(root, ["clip.mp4", [frame, frame]])   # a small tree of real clips, used in turn
    build_dfew(root, [], tested=DFEW_TESTED)            # only the annotation, in full size

`sources` are used in turn to make the clips: paths of video files, or sequences of frames (H, W, 3) uint8. For a
dataset of videos, frames are encoded and a file is copied (or re-encoded for another container); for a dataset of
frame folders, frames are written as images and a file is decoded. Other files that the owners ship (spreadsheets,
audio, aligned faces) are stand-ins of one byte. Every function returns the ids of its clips, as in the manifest, in
the order in which they were made.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from random import Random

from tree_files import FRAMES, Source, write_files, write_frame_folder, write_text, write_video

SEVEN_WORDS = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
MAFW_LABELS = (
    *("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"),
    *("contempt", "anxiety", "helplessness", "disappointment"),
)
CREMA_D_EMOTIONS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
SCENES = ("Action", "Crime", "DailyLife", "Interview", "Talkshow", "War")
SCENE_GROUPS = {
    "DL": ("DailyLife", "Interview"),
    "AI": ("Action", "Crime", "War"),
}  # invented; Talkshow is in none

DFEW_FOLD_1 = (9356, 2341)
# Sizes of five test parts that partition the clips; the first is as published.
DFEW_TESTED = {1: 2341, 2: 2341, 3: 2339, 4: 2338, 5: 2338}
FERV39K_SIZES = {"train": 31_088, "test": 7847}
AFEW_SIZES = {"Train": 773, "Val": 383}


def build_dfew(
    root: Path,
    sources: Sequence[Source],
    clips: int = 14,
    folds: int = 5,
    originals: bool = False,
    tested: Mapping[int, int] | None = None,
) -> list[str]:
    """DFEW: labels 1–7 in turn; clip k is tested in fold k mod folds + 1.

    originals: make videos, numbered without zeros and in part folders, not frame folders of all frames and of 16
    tested: clips tested per fold, shuffled, in place of `clips` and `folds`
    """
    if tested is None:
        test_fold = [k % folds + 1 for k in range(clips)]
    else:
        test_fold = [fold for fold, size in tested.items() for _ in range(size)]
        Random(0).shuffle(test_fold)
        folds = len(tested)
    ids = [f"{k + 1:05}" for k in range(len(test_fold))]
    labels = [k // folds % 7 + 1 for k in range(len(ids))]
    for fold in range(1, folds + 1):
        for part, inside in (("train", False), ("test", True)):
            rows = [
                f"{i},{n}" for i, n, f in zip(ids, labels, test_fold, strict=True) if (f == fold) == inside
            ]
            folder = root / "EmoLabel_DataSplit" / f"{part}(single-labeled)"
            write_text(folder / f"set_{fold}.csv", ["video_name,label", *rows], end="\r\n")
    for number, source in zip(ids, _each(sources, len(ids)), strict=False):
        if originals:
            write_video(
                root / "Clip" / "original" / f"part_{int(number) % 2 + 1}" / f"{int(number)}.mp4", source
            )
        else:
            for place in ("clip_224x224", "clip_224x224_16f"):
                write_frame_folder(root / "Clip" / place / number, source, f"{number}_{{:05}}.jpg")
    write_files(root, "Annotation/annotation.xlsx")
    return ids


def build_ferv39k(
    root: Path,
    sources: Sequence[Source],
    sizes: Mapping[str, int] | None = None,
    scenes: Sequence[str] = SCENES,
) -> list[str]:
    """FERV39k: scenes and expressions in turn. sizes: clips of "train" and "test"."""
    sizes = sizes or {"train": 14, "test": 7}
    ids = []
    for part, size in sizes.items():
        lines = []
        for k in range(len(ids), len(ids) + size):
            emotion = SEVEN_WORDS[k % 7]
            ids.append(f"{scenes[k % len(scenes)]}/{emotion}/{k:04}")
            lines.append(f"{ids[-1]} {emotion}")
        setups = root / "4_setups"
        write_text(setups / "All_scenes" / f"{part}_All.csv", lines)
        for scene in scenes:
            write_text(
                setups / "22_scenes" / f"{part}_{scene}.csv", [x for x in lines if x.startswith(f"{scene}/")]
            )
        for group, members in SCENE_GROUPS.items():
            of_group = [line for line in lines if line.split("/")[0] in members]
            write_text(setups / "4_groups" / f"{part}_{group}.csv", of_group)
    for clip_id, source in zip(ids, _each(sources, len(ids)), strict=False):
        write_frame_folder(root / "2_ClipsforFaceCrop" / clip_id, source, "{:06}.jpg")
    return ids


def build_mafw(
    root: Path,
    sources: Sequence[Source],
    clips: int = 22,
    folds: int = 5,
    compound: int = 2,
    frames: bool = False,
) -> list[str]:
    """MAFW: eleven labels in turn.

    compound: further clips, only in the compound lists
    frames: make PNG frame folders, not videos
    """
    ids = [f"{k + 1:05}" for k in range(clips + compound)]
    labels = [MAFW_LABELS[k % 11] for k in range(clips)] + ["anger_disgust"] * compound
    for kind, count in (("single", clips), ("compound", clips + compound)):
        for fold in range(1, folds + 1):
            for part, inside in (("train", False), ("test", True)):
                chosen = [k for k in range(count) if (k % folds + 1 == fold) == inside]
                folder = root / "Train & Test Set" / kind / "no_caption" / f"set_{fold}"
                write_text(folder / f"{part}.txt", [f"{ids[k]}.mp4 {labels[k]}" for k in chosen])
    for clip_id, source in zip(ids, _each(sources, len(ids)), strict=False):
        if frames:
            write_frame_folder(root / "data" / "frames" / clip_id, source, "{:05}.png")
        else:
            write_video(root / "data" / "clips" / f"{clip_id}.mp4", source)
        write_files(root, f"data/faces/{clip_id}/00001.png")
    write_files(root, "labels/single-set.xlsx", "labels/multi-set.xlsx")
    return ids[:clips]


def build_afew(
    root: Path, sources: Sequence[Source], sizes: Mapping[str, int] | None = None, aligned: bool = False
) -> list[str]:
    """AFEW: labels in turn; files of one byte if there are no sources.

    sizes: clips of "Train" and "Val"
    aligned: as shipped, in Train_AFEW and Val_AFEW, with folders of aligned faces, points and features
    """
    ids = []
    made = cycle(sources) if sources else None
    for split, size in (sizes or {"Train": 7, "Val": 7}).items():
        folder = f"{split}_AFEW" if aligned else split
        for k in range(size):
            ids.append(f"{folder}/{SEVEN_WORDS[k % 7]}/{len(ids):09}.avi")
            if made:
                write_video(root / ids[-1], next(made))
            else:
                write_files(root, ids[-1])
            if aligned:
                extras = root / folder / f"AlignedFaces_LBPTOP_Points{'' if split == 'Train' else '_Val'}"
                number = Path(ids[-1]).stem
                write_files(extras, f"Faces/{number}/00001.jpg", f"Points/{number}/00001.txt")
                write_files(extras, f"LBPTOP/{number}.mat")
    return ids


def build_crema_d(root: Path, sources: Sequence[Source], actors: Sequence[int] = (1001, 1002)) -> list[str]:
    """CREMA-D: six emotions of each actor."""
    ids = [f"{actor}_DFA_{emotion}_XX" for actor in actors for emotion in CREMA_D_EMOTIONS]
    for clip_id, source in zip(ids, _each(sources, len(ids)), strict=False):
        write_video(root / "VideoFlash" / f"{clip_id}.flv", source)
        write_files(root, f"AudioWAV/{clip_id}.wav", f"AudioMP3/{clip_id}.mp3")
    write_files(root, "VideoDemographics.csv", "SentenceFilenames.csv", "processedResults/summaryTable.csv")
    return ids


def build_ravdess(
    root: Path, sources: Sequence[Source], actors: Sequence[int] = (1, 2), silent: bool = True
) -> list[str]:
    """RAVDESS: eight emotions of each actor, spoken, with sound, and the first of them sung; a folder per archive.

    silent: the first also without sound, and as audio only
    """
    spoken = [f"01-01-{emotion:02}-01-01-01-{actor:02}" for actor in actors for emotion in range(1, 9)]
    sung = [f"01-02-01-01-01-01-{actor:02}" for actor in actors]
    ids = [*spoken, *sung]
    for clip_id, source in zip(ids, _each(sources, len(ids)), strict=False):
        write_video(_ravdess_file(root, clip_id), source)
    if silent and sources:
        first = _ravdess_file(root, ids[0])
        shutil.copy(first, first.with_name(f"02{first.name[2:]}"))
        write_files(root, f"Audio_Speech_Actors_01-24/Actor_{ids[0][-2:]}/03{ids[0][2:]}.wav")
    return ids


def _ravdess_file(root: Path, clip_id: str) -> Path:
    """Where a video's archive puts it."""
    archive = {"1": "Speech", "2": "Song"}[clip_id[4]]
    actor = f"Actor_{clip_id[-2:]}"
    return root / f"Video_{archive}_{actor}" / actor / f"{clip_id}.mp4"


def build_lists(
    root: Path, sources: Sequence[Source], clips: int = 14, folds: int = 5, start: str = "", prefix: str = ""
) -> list[str]:
    """Lists in the style of Former-DFER and their frame folders; one fold makes a split.

    start: prefix of the folders in the lists, such as /home/somebody/data/
    prefix: of the names of the lists, such as DFEW_
    """
    ids = [f"frames/{k + 1:05}" for k in range(clips)]
    sizes = [FRAMES if isinstance(source, str | Path) else len(source) for source in sources] or [FRAMES]
    for fold in range(1, folds + 1):
        for part, inside in (("train", False), ("test", True)):
            chosen = [k for k in range(clips) if (k % max(folds, 2) + 1 == fold) == inside]
            lines = [f"{start}{ids[k]} {sizes[k % len(sizes)]} {k // folds % 7}" for k in chosen]
            name = f"set_{fold}_{part}.txt" if folds > 1 else f"{part}.txt"
            write_text(root / f"{prefix}{name}", lines)
    for clip_id, source in zip(ids, _each(sources, clips), strict=False):
        write_frame_folder(root / clip_id, source)
    return ids


def build_folders(
    root: Path, sources: Sequence[Source], splits: Sequence[str] = ("train", "test")
) -> list[str]:
    """A folder per label, in a folder per split if there are splits: two videos and a frame folder each."""
    ids, made = [], cycle(sources)
    for split in splits or ("",):
        for label in ("happy", "sad"):
            for name in ("a.mp4", "b (2).mp4", "c"):
                ids.append("/".join(filter(None, (split, label, name))))
                write = write_video if name.endswith(".mp4") else write_frame_folder
                write(root / ids[-1], next(made))
    return ids


def build_table(root: Path, sources: Sequence[Source], clips: int = 6, absolute: bool = False) -> list[str]:
    """`clips.csv`, with BOM and CRLF, and the videos that it lists."""
    ids = [f"videos/clip {k}.mp4" for k in range(clips)]
    rows = [
        f'"{root / i if absolute else i}",{("happy", "sad")[k % 2]},{("train", "test")[k // 2 % 2]},s{k % 3}'
        for k, i in enumerate(ids)
    ]
    write_text(root / "clips.csv", ["path,label,split,subject", *rows], end="\r\n", bom=True)
    for clip_id, source in zip(ids, _each(sources, clips), strict=False):
        write_video(root / clip_id, source)
    return ids


def _each(sources: Sequence[Source], count: int) -> Iterator[Source]:
    """`count` sources, used in turn; none if there are none."""
    return islice(cycle(sources), count) if sources else iter(())
