"""A task that needs one part of a network is learnt with that part and not without it.

Clips come in pairs with different labels. A network without the part cannot tell the two clips of a pair apart, so it
stays at chance whatever it learns. tests/benchmarks/motion.py trains every network on the same clips.
"""

import made_up
import pytest
from one_clue import (
    CHANCE,
    LEARNS_SPOTS,
    SPOTS,
    WITHOUT_ORDER,
    learn,
    learn_small,
    learn_spots,
    patch_settings,
    patches_cache,
    spots_cache,
)

from dfer.train.models.registry import MODELS, PAPER

COMMON = {"flip": False, "crop_fraction": 1.0, "batch_size": 8, "depth": 1}
PATCHES = {"image_size": 48, "num_frames": 1, "stage_strides": (1, 2, 2, 1), "learning_rate": 3e-4}


@pytest.fixture(scope="module")
def spots(tmp_path_factory):
    """Clips whose label is in the order of their frames."""
    return spots_cache(tmp_path_factory.mktemp("spots"))


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    """Clips whose label is in the surroundings of one key-point."""
    return patches_cache(tmp_path_factory.mktemp("patches"))


def test_every_network_sees_the_order_of_frames_or_takes_them_in_any():
    assert {*MODELS} == {*LEARNS_SPOTS, *WITHOUT_ORDER}


@pytest.mark.parametrize("model", LEARNS_SPOTS)
def test_a_network_that_sees_the_order_of_frames_learns_motion(spots, model):
    assert learn_spots(spots, model).war >= 0.95


def test_vit_with_an_lstm_learns_motion(spots):
    settings = {"temporal": "lstm", "average": "scores", "units": 32, "learning_rate": 1e-3}
    assert learn_small(spots, "vit", 60, enough=0.95, **SPOTS, **settings).war >= 0.95


@pytest.mark.parametrize("model", WITHOUT_ORDER)
def test_a_network_that_takes_frames_in_any_order_stays_at_chance_on_motion(spots, model):
    assert learn_small(spots, model, 2, **SPOTS).war == CHANCE


def test_ablation_b_without_a_temporal_part_stays_at_chance(spots):
    found = learn_small(spots, PAPER, 2, **SPOTS, temporal="mean")
    assert found.war == CHANCE and found.loss > 0.6


def test_the_keypoint_branch_learns_a_task_of_one_keypoints_surroundings(patches):
    training = made_up.training(patches, "paper", {**COMMON, **PATCHES, "temporal": "mean"})
    assert learn(training, 16, enough=0.95).war >= 0.95


@pytest.mark.parametrize("model", ["vit", "c3d", "resnet3d-18"])
def test_a_network_without_keypoints_stays_at_chance_on_it(patches, model):
    assert learn_small(patches, model, 1, **patch_settings(model)).war == CHANCE


def test_the_global_branch_alone_stays_at_chance(patches):
    settings = {**COMMON, **PATCHES, "temporal": "mean", "graph": "layer", "fusion": "global"}
    found = learn(made_up.training(patches, "paper", settings), 2)
    assert found.war == CHANCE and found.loss > 0.6
