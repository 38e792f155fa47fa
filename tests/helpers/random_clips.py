"""Tasks and random input for networks built in a test; on the meta device a large network costs nothing."""

import torch
from torch import nn

from dfer.schemas.keypoints import DLIB18
from dfer.train.models.interface import ClipNetwork, NetworkInput, Task


def task(num_frames: int = 16, image_size: int = 112, classes: int = 7) -> Task:
    return Task(classes=classes, num_frames=num_frames, image_size=image_size, keypoints=DLIB18)


def on_meta(network: type[ClipNetwork], task: Task, **settings) -> ClipNetwork:
    """The network without memory for its weights: for counts and shapes."""
    with torch.device("meta"):
        return network(network.Config(**settings), task)


def seeded(network: type[ClipNetwork], task: Task, **settings) -> ClipNetwork:
    torch.manual_seed(0)
    return network(network.Config(**settings), task)


def lively(network: ClipNetwork) -> ClipNetwork:
    """Make the first weights of a small transformer large enough that what it mixes shows in the scores."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
    return network


def random_input(task: Task, clips: int = 2, device: str = "cpu", seed: int = 1) -> NetworkInput:
    random = None if device == "meta" else torch.Generator().manual_seed(seed)
    size = (clips, task.num_frames, 3, task.image_size, task.image_size)
    frames = torch.randn(size, generator=random, device=device)
    return NetworkInput(
        frames=frames,
        keypoints=torch.zeros(clips, task.num_frames, task.keypoints.count, 2, device=device),
        detected=torch.ones(clips, task.num_frames, dtype=torch.bool, device=device),
    )


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def shapes(network: ClipNetwork, task: Task, *names: str) -> dict[str, tuple[int, ...]]:
    """The shapes of what these parts return for two clips, by name. network: on the meta device"""
    found = {}
    for name in names:
        module = network.get_submodule(name)
        module.register_forward_hook(lambda *given, name=name: found.update({name: tuple(given[2].shape)}))
    with torch.device("meta"):
        scores = network.eval()(random_input(task, device="meta"))
    assert scores.clip.shape == (2, task.classes)
    return found


def backward(network: ClipNetwork, given: NetworkInput) -> None:
    """Leave the gradient of the sum of all losses, each as if every clip were of class 1."""
    scores = network(given)
    truth = nn.functional.one_hot(torch.ones(len(given.frames), dtype=torch.long), network.classes).float()
    logits = [scores.clip, *scores.auxiliary.values()]
    loss = sum(nn.functional.cross_entropy(each, truth) for each in logits)
    for extra in (*scores.penalties.values(), *network.judged(scores, truth).values()):
        loss = loss + extra.mean()
    loss.backward()


def without_gradient(network: nn.Module) -> list[str]:
    """Names of the parameters that a backward pass did not reach, or reached with nothing but zeros."""
    return [
        name for name, value in network.named_parameters() if value.grad is None or not value.grad.abs().max()
    ]
