"""Clips with one clue to their label: how something moves, or what is at a key-point.

They come in pairs with different labels. A network that ignores the clue gets the same input for both clips of a
pair, so it stays at chance whatever it learns.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from made_up import training
from small_networks import FRAMES, without_dropout
from synthetic_cache import SyntheticClip, write_cache
from torch.nn.modules.batchnorm import _BatchNorm

from dfer.train.engine.training import Training
from dfer.train.models.registry import PAPER

CHANCE = 0.5
SPOTS = {"num_frames": FRAMES, "image_size": 16}
EPOCHS = 60  # on the moving spots, at most; the learning rate falls to a tenth after 40
# What a small network needs to learn the spots within a minute, if that is not SPOTS and the settings of `small`.
LEARNS_SPOTS: dict[str, dict[str, object]] = {
    PAPER: {},
    "resnet-recurrent": {},
    "c3d": {},
    "c3d-lstm": {},
    "p3d": {"image_size": 64},  # at 16 px its last maps are single pixels
    "resnet3d-18": {},
    "i3d": {"learning_rate": 3e-3},
    "former-dfer": {},
    "nr-dfernet": {},
    # Attention that starts from weights of 0.02 looks at all frames alike and tells their order apart only slowly.
    "logo-former": {"epochs": 150, "learning_rate": 2e-3, "schedule": "cosine"},
    "stt": {
        **{"depth": 2, "width": 64, "batch_size": 32, "clip_norm": 1.0},
        **{"epochs": 300, "learning_rate": 2e-3, "schedule": "cosine"},
    },
    "est": {},
    "dpcnet": {"learning_rate": 3e-3},
    "estlnet": {"learning_rate": 9e-4},
    "t-esfl": {},
}
# Networks to which a clip is a set of frames, or of short windows of them.
WITHOUT_ORDER = ("resnet-average", "densenet", "vit", "emotion-fan", "ceflnet")


def moving_spots(pairs: int, tested: int, frames: int = FRAMES, size: int = 16) -> list[SyntheticClip]:
    """A bright spot on a plain field that moves down, or up: the same frames in the other order."""
    random, side = np.random.default_rng(0), size // 3
    clips = []
    for number in range(pairs):
        field, x = random.integers(60, 160, 3), random.integers(0, size - side + 1)
        down = np.tile(field, (frames, size, size, 1)).astype(np.uint8)
        for frame, y in zip(down, np.linspace(0, size - side, frames).astype(int), strict=True):
            frame[y : y + side, x : x + side] = 250
        about = {"keypoints": np.full((frames, 18, 2), size / 2)}
        about["split"] = "test" if number < tested else "train"
        clips.append(SyntheticClip(label="down", crops=down, **about))
        clips.append(SyntheticClip(label="up", crops=down[::-1], **about))
    return clips


def marked_patches(pairs: int, tested: int, size: int = 48, side: int = 12) -> list[SyntheticClip]:
    """A bright and a dark patch on a plain field of a random colour, in clips of one frame.

    Key-point 11, the upper lip, is on one of them, which gives the label; the other is the decoy. All other
    key-points are far outside.
    """
    random, clips = np.random.default_rng(0), []
    for number in range(pairs):
        frame = np.tile(random.uniform(40, 215, 3), (size, size, 1))
        middles = []
        for cell, change in zip(random.permutation(9)[:2], (80, -80), strict=True):
            y, x = size // 3 * np.array(divmod(cell, 3)) + random.integers(0, size // 3 - side + 1, 2)
            frame[y : y + side, x : x + side] += change
            middles.append((x + (side - 1) / 2, y + (side - 1) / 2))
        crops = frame.clip(0, 255).astype(np.uint8)[None]
        for label, middle in zip(("bright", "dark"), middles, strict=True):
            keypoints = np.full((1, 18, 2), -float(size))
            keypoints[:, 11] = middle
            split = "test" if number < tested else "train"
            clips.append(SyntheticClip(label=label, crops=crops, keypoints=keypoints, split=split))
    return clips


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """war: on the test clips; loss: mean of the last epoch; epochs: done"""

    war: float
    loss: float
    epochs: int


def learn(prepared: Training, epochs: int, enough: float = 1.1) -> Learnt:
    """Train until the WAR on the test clips is `enough`, or for so many epochs."""
    done = 0
    while done < epochs:
        [*_] = prepared.steps()
        loss, (_, figures) = prepared.totals.mean_loss, prepared.test()
        done += 1
        if figures.war >= enough:
            break
        prepared.next_epoch()
    return Learnt(war=figures.war, loss=loss, epochs=done)


def learn_spots(folder: Path, model: str) -> Learnt:
    """Train the small network of a model on the moving spots, until it is right on nearly all test clips."""
    settings = {"epochs": EPOCHS, **SPOTS, **LEARNS_SPOTS.get(model, {})}
    return learn_small(folder, model, settings.pop("epochs"), enough=0.95, **settings)


def learn_small(folder: Path, model: str, epochs: int, enough: float = 1.1, **others: object) -> Learnt:
    """Train the small network of a model on a cache's own split, without augmentation."""
    common = {"flip": False, "crop_fraction": 1.0, "batch_size": 8, "epochs": epochs}
    prepared = training(folder, "paper", {**without_dropout(model), **common, **others})
    follow_quickly(prepared)
    return learn(prepared, epochs, enough)


def follow_quickly(prepared: Training) -> None:
    """Let the means that predictions use follow the weights within a few steps, not within tens."""
    for module in prepared.learner.network.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = 0.5


def spots_cache(folder: Path) -> Path:
    return write_cache(folder, moving_spots(pairs=24, tested=8))


def patches_cache(folder: Path) -> Path:
    return write_cache(folder, marked_patches(pairs=64, tested=16))


def patch_settings(model: str) -> dict[str, object]:
    """The size of the patches' clips, and for the paper's network a map that is fine enough for them."""
    size = {"num_frames": 2, "image_size": 48}
    return {**size, "stage_strides": (1, 2, 2, 1)} if model == PAPER else size
