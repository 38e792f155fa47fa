"""Small clips, and what the tests of every network here ask of it."""

import pytest
import torch

from dfer.schemas.keypoints import DLIB18
from dfer.train.models.interface import NetworkInput, Task


class Workbench:
    """Builds networks and small input for them."""

    def build(self, network, *, classes=7, frames=4, size=32, device="cpu", **settings):
        """A network with seed 0; settings: of its Config."""
        task = Task(classes=classes, num_frames=frames, image_size=size, keypoints=DLIB18)
        torch.manual_seed(0)
        with torch.device(device):
            return network(network.Config(**settings), task)

    def clips(self, *, clips=2, frames=4, size=32, device="cpu"):
        torch.manual_seed(1)
        images = torch.randn(clips, frames, 3, size, size, device=device)
        keypoints = torch.rand(clips, frames, DLIB18.count, 2, device=device)
        return NetworkInput(images, keypoints, torch.ones(clips, frames, dtype=torch.bool, device=device))

    def parameters(self, module):
        return sum(p.numel() for p in module.parameters())

    def untrained(self, network, given):
        """Names of the parameters that a step on these clips does not change."""
        network.train()(given).clip.log_softmax(1)[:, 0].sum().backward()
        return [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]

    def scores(self, network, given):
        with torch.no_grad():
            return network.eval()(given).clip

    def order_matters(self, network, given):
        """Whether the scores change if the frames are reversed, and if two neighbours change places."""
        swapped = [1, 0, *range(2, given.frames.shape[1])]
        plain = self.scores(network, given)
        return tuple(
            not torch.allclose(
                self.scores(network, given._replace(frames=given.frames[:, order])), plain, atol=1e-5
            )
            for order in ([*reversed(range(given.frames.shape[1]))], swapped)
        )


@pytest.fixture(scope="session")
def bench():
    return Workbench()
