"""Another set of key-points is another object: the network follows its number, regions, mirror image and edges."""

import dataclasses

import made_up
import pytest
import torch
from made_up import TEN
from networks import build, seen
from synthetic_cache import write_cache

from dfer.schemas.keypoints import DLIB18, KEYPOINT_SETS
from dfer.train.commands.describe import network_parts
from dfer.train.config import RecipeConfig, load_config
from dfer.train.engine import checkpoint
from dfer.train.engine.objective import objective
from dfer.train.engine.optim import make_optimiser
from dfer.train.models.keypoint.settings import KeypointSettings

SMALL = KeypointSettings(stage_strides=(1, 2, 1, 1), depth=1)  # 4×4 maps from 32 px
RECIPE = RecipeConfig(learning_rate=1e-4)


def clips(keypoint_set):
    """Four clips of two frames of noise with their key-points, and their labels."""
    torch.manual_seed(0)
    return torch.randn(4, 2, 3, 32, 32), torch.rand(4, 2, keypoint_set.count, 2), torch.arange(4) % 2


def test_a_network_of_ten_keypoints_in_three_regions_trains():
    frames, keypoints, labels = clips(TEN)
    network = build(SMALL, classes=2, num_frames=2, seed=0, keypoints=TEN).train()
    optimiser, loss = make_optimiser(network, RECIPE), objective(RECIPE, labels.numpy(), network)
    losses = []
    for _ in range(2):
        optimiser.zero_grad()
        value = loss.total(network(seen(frames, keypoints)), labels)
        value.backward()
        optimiser.step()
        losses.append(value.item())
    assert losses[1] < losses[0]
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_training_on_a_cache_of_ten_keypoints_lowers_the_loss_and_is_restored(tmp_path, monkeypatch):
    monkeypatch.setitem(KEYPOINT_SETS, TEN.name, TEN)
    clips = [made_up.clip("ab"[n % 2], n, points=TEN.count) for n in range(4)]
    cache = write_cache(tmp_path / "cache", clips, keypoints=TEN)
    overrides = {"image_size": 32, "num_frames": 2, "batch_size": 4, "depth": 1, "flip": True}
    training = made_up.training(cache, "quick", overrides)
    network, losses = training.learner.network, []
    for _ in range(2):
        *_, _last = training.steps()  # one step of all four clips
        losses.append(training.totals.mean_loss)
        training.next_epoch()
    assert losses[1] < losses[0]
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert checkpoint.restore(training.checkpoint()).task.keypoints is TEN


def test_other_regions_and_edges_give_other_scores():
    frames, keypoints, _ = clips(TEN)

    def scores(**changes):
        keypoint_set = dataclasses.replace(TEN, **changes)
        network = build(SMALL, classes=2, num_frames=2, seed=0, keypoints=keypoint_set).eval()
        with torch.no_grad():
            return network(seen(frames, keypoints)).clip

    same = scores(name="renamed")
    assert not torch.equal(scores(edges=TEN.edges[1:]), same)
    assert not torch.equal(scores(regions={**TEN.regions, "mouth": (6, 7)}), same)


@pytest.mark.parametrize("regions", [1, 2, 4])
def test_another_number_of_regions_changes_the_width_of_the_fused_vector(regions):
    members = {f"region {n}": (2 * n, 2 * n + 1) for n in range(regions)}
    keypoint_set = dataclasses.replace(TEN, regions=members)
    frames, keypoints, _ = clips(keypoint_set)
    network = build(SMALL, classes=2, num_frames=2, seed=0, keypoints=keypoint_set)
    assert network.fusion.outputs == network.clip_head.in_features == (regions + 1) * 128
    assert network(seen(frames, keypoints)).clip.shape == (4, 2)


def test_a_keypoint_without_edges_gets_no_message():
    keypoint_set = dataclasses.replace(TEN, edges=TEN.edges[:5])
    frames, keypoints, _ = clips(keypoint_set)
    network = build(SMALL, classes=2, num_frames=2, seed=0, keypoints=keypoint_set)
    assert torch.isfinite(network(seen(frames, keypoints)).clip).all()


def test_the_listed_parts_follow_the_set():
    shapes = {p.name: p.shape for p in network_parts(load_config("paper"), 7, TEN)}
    assert shapes["graph"] == "16×10×128, 16×128"
    assert {p.name: p.shape for p in network_parts(load_config("paper"), 7, DLIB18)}["fusion"] == shapes[
        "fusion"
    ]
