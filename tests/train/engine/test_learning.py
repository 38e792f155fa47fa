"""What only one part of the network can see is learnt with that part and not without it.

Both tasks come in pairs of test clips that are the same to the network that lacks the part, and have different
labels: it is at chance by what it is, whatever it has learnt.
"""

import made_up
import numpy as np
import pytest
from synthetic_cache import SyntheticClip, write_cache

CHANCE = 0.5


def war_after(folder, clips, epochs, enough=1.1, **overrides):
    """WAR on the test clips and the mean training loss after some epochs, or as soon as the WAR is enough."""
    everywhere = {"flip": False, "crop_fraction": 1.0, "batch_size": 16, "temporal": "mean", "depth": 1}
    training = made_up.training(write_cache(folder, clips), "paper", {**everywhere, **overrides})
    for _ in range(epochs):
        *_, _last = training.steps()
        loss, (_, figures) = training.totals.mean_loss, training.test()
        if figures.war >= enough:
            break
        training.next_epoch()
    return figures.war, loss


@pytest.fixture(scope="module")
def moving_spots():
    """A bright spot on noise that goes down, or up: the same frames in the other order."""
    random, clips, size = np.random.default_rng(0), [], 32
    for number in range(48):
        scene, x = random.integers(60, 160, (size, size, 3)), random.integers(2, size - 12)
        frames = []
        for y in np.linspace(0, size - 9, 4).astype(int):
            frames.append(scene.copy())
            frames[-1][y : y + 9, x : x + 9] = 250
        down = np.stack(frames).astype(np.uint8)
        where = {"keypoints": np.full((4, 18, 2), size / 2), "split": "test" if number < 12 else "train"}
        clips.append(SyntheticClip(label="down", crops=down, **where))
        clips.append(SyntheticClip(label="up", crops=down[::-1], **where))
    return clips


MOTION = {"image_size": 32, "num_frames": 4, "stage_strides": (1, 2, 2, 2), "learning_rate": 5e-4}


def test_the_transformer_learns_what_only_motion_tells(moving_spots, tmp_path):
    war, _ = war_after(tmp_path / "c", moving_spots, 16, enough=0.95, **MOTION, temporal="transformer")
    assert war >= 0.95


def test_ablation_b_without_a_temporal_part_stays_at_chance_there(moving_spots, tmp_path):
    war, loss = war_after(tmp_path / "c", moving_spots, 2, **MOTION, fusion="mean")
    assert war == CHANCE and loss > 0.6


@pytest.fixture(scope="module")
def marked_patches():
    """A bright and a dark patch anywhere on a plain field of any colour: the label says on which of them key-point
    11, the upper lip, lies; the other patch is the decoy. All other key-points are far outside."""
    random, clips, size, side = np.random.default_rng(0), [], 48, 12
    for number in range(96):
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
            split = "test" if number < 24 else "train"
            clips.append(SyntheticClip(label=label, crops=crops, keypoints=keypoints, split=split))
    return clips


PATCHES = {"image_size": 48, "num_frames": 1, "stage_strides": (1, 2, 2, 1), "learning_rate": 6e-4}


def test_the_keypoint_branch_learns_what_only_one_keypoints_neighbourhood_tells(marked_patches, tmp_path):
    war, _ = war_after(tmp_path / "c", marked_patches, 12, enough=0.95, **PATCHES)
    assert war >= 0.95


def test_the_global_branch_alone_stays_at_chance_there(marked_patches, tmp_path):
    war, loss = war_after(tmp_path / "c", marked_patches, 2, **PATCHES, graph="layer", fusion="global")
    assert war == CHANCE and loss > 0.6
