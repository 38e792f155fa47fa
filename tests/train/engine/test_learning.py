"""A task that needs one part of the network is learnt with that part and not without it.

Clips come in pairs with different labels. A network without the part cannot tell the two clips of a pair apart, so it
stays at chance whatever it learns.
"""

import made_up
import numpy as np
import pytest
from synthetic_cache import SyntheticClip, write_cache

CHANCE = 0.5


def war_after(folder, clips, epochs, enough=1.1, **overrides):
    """WAR on the test clips and mean training loss after `epochs`, or once the WAR is `enough`."""
    common = {"flip": False, "crop_fraction": 1.0, "batch_size": 8, "temporal": "mean", "depth": 1}
    training = made_up.training(write_cache(folder, clips), "paper", {**common, **overrides})
    for _ in range(epochs):
        *_, _last = training.steps()
        loss, (_, figures) = training.totals.mean_loss, training.test()
        if figures.war >= enough:
            break
        training.next_epoch()
    return figures.war, loss


@pytest.fixture(scope="module")
def moving_spots():
    """Two frames of a bright spot on noise that jumps down, or up: the same frames in the other order."""
    random, clips, size = np.random.default_rng(0), [], 32
    for number in range(30):
        scene, x = random.integers(60, 160, (size, size, 3)), random.integers(2, size - 12)
        down = np.stack([scene, scene]).astype(np.uint8)  # (2, size, size, 3)
        for frame, y in zip(down, (0, size - 9), strict=True):
            frame[y : y + 9, x : x + 9] = 250
        about = {"keypoints": np.full((2, 18, 2), size / 2), "split": "test" if number < 10 else "train"}
        clips.append(SyntheticClip(label="down", crops=down, **about))
        clips.append(SyntheticClip(label="up", crops=down[::-1], **about))
    return clips


MOTION = {"image_size": 32, "num_frames": 2, "stage_strides": (1, 2, 2, 2), "learning_rate": 5e-4}


def test_the_transformer_learns_a_task_of_motion(moving_spots, tmp_path):
    war, _ = war_after(tmp_path / "c", moving_spots, 24, enough=0.95, **MOTION, temporal="transformer")
    assert war >= 0.95


def test_ablation_b_without_a_temporal_part_stays_at_chance(moving_spots, tmp_path):
    war, loss = war_after(tmp_path / "c", moving_spots, 2, **MOTION)
    assert war == CHANCE and loss > 0.6


@pytest.fixture(scope="module")
def marked_patches():
    """A bright and a dark patch on a plain field of a random colour.

    Key-point 11, the upper lip, is on one of them, which gives the label; the other is the decoy. All other
    key-points are far outside.
    """
    random, clips, size, side = np.random.default_rng(0), [], 48, 12
    for number in range(64):
        frame = np.tile(random.uniform(40, 215, 3), (size, size, 1))
        middles = []
        for cell, change in zip(random.permutation(9)[:2], (80, -80), strict=True):
            y, x = 16 * np.array(divmod(cell, 3)) + random.integers(0, 16 - side + 1, 2)
            frame[y : y + side, x : x + side] += change
            middles.append((x + (side - 1) / 2, y + (side - 1) / 2))
        crops = frame.clip(0, 255).astype(np.uint8)[None]
        for label, middle in zip(("bright", "dark"), middles, strict=True):
            keypoints = np.full((1, 18, 2), -float(size))
            keypoints[:, 11] = middle
            split = "test" if number < 16 else "train"
            clips.append(SyntheticClip(label=label, crops=crops, keypoints=keypoints, split=split))
    return clips


PATCHES = {"image_size": 48, "num_frames": 1, "stage_strides": (1, 2, 2, 1), "learning_rate": 3e-4}


def test_the_keypoint_branch_learns_a_task_of_one_keypoints_surroundings(marked_patches, tmp_path):
    war, _ = war_after(tmp_path / "c", marked_patches, 16, enough=0.95, **PATCHES)
    assert war >= 0.95


def test_the_global_branch_alone_stays_at_chance(marked_patches, tmp_path):
    war, loss = war_after(tmp_path / "c", marked_patches, 2, **PATCHES, graph="layer", fusion="global")
    assert war == CHANCE and loss > 0.6
