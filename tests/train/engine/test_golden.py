"""Stored losses reveal any change of the network, its initial weights, the objective or the optimiser."""

import pytest
import torch
from networks import build, seen

from dfer.schemas.keypoints import DLIB18
from dfer.train.config import load_config
from dfer.train.engine.objective import objective
from dfer.train.engine.optim import make_optimiser

# Five steps of the paper preset in float64 on the batch below (torch 2.13 on an x86 CPU).
GOLDEN = [1.9865055043427056, 0.876465833970863, 7.398236368413579, 1.8810573900177403, 0.026304567854027815]


def test_five_steps_of_the_paper_preset_give_the_stored_losses():
    config = load_config("paper")
    assert (config.data.num_frames, config.data.image_size) == (16, 112)
    random = torch.Generator().manual_seed(0)
    frames = torch.randn(2, 16, 3, 112, 112, generator=random, dtype=torch.float64)
    keypoints = torch.rand(2, 16, 18, 2, generator=random, dtype=torch.float64)
    labels = torch.tensor([1, 4])
    network = build(config.network, classes=7, num_frames=16, seed=0, keypoints=DLIB18).double()
    optimiser = make_optimiser(network, config.recipe)
    loss_of = objective(config.recipe, labels.numpy(), network)
    losses = []
    for _ in GOLDEN:
        loss = loss_of.total(network(seen(frames, keypoints)), labels) / len(labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    # Initial weights are drawn in float32, whose last digit depends on the CPU's vector unit.
    assert losses[0] == pytest.approx(GOLDEN[0], rel=1e-6)
    # Adam divides gradients by their size, so that digit grows with each step.
    assert losses == pytest.approx(GOLDEN, rel=1e-4)
