"""Networks that a test builds, and random clips for them. On the meta device a large network costs nothing."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dfer.schemas.keypoints import DLIB18, KeypointSet
from dfer.train.models import registry
from dfer.train.models.interface import ClipNetwork, NetworkInput, Task
from dfer.train.models.keypoint.network import KeypointNetwork
from dfer.train.models.keypoint.settings import KeypointSettings


def task(
    num_frames: int = 16,
    image_size: int = 112,
    classes: int = 7,
    keypoints: KeypointSet = DLIB18,
    labels: tuple[str, ...] = (),
) -> Task:
    return Task(
        classes=classes, num_frames=num_frames, image_size=image_size, keypoints=keypoints, labels=labels
    )


def build(
    config: KeypointSettings, classes: int, num_frames: int, seed: int, keypoints: KeypointSet = DLIB18
) -> KeypointNetwork:
    """The paper's network with these settings."""
    return registry.build(registry.PAPER, config, task(num_frames, 112, classes, keypoints), seed)


def on_meta(kind: type[ClipNetwork], task: Task, **settings) -> ClipNetwork:
    """A network without memory for its weights, for counts and shapes."""
    with torch.device("meta"):
        return kind(kind.Config(**settings), task).eval()


def seeded(kind: type[ClipNetwork], task: Task, **settings) -> ClipNetwork:
    """A network with the same weights in every call."""
    torch.manual_seed(0)
    return kind(kind.Config(**settings), task)


def with_clips(kind: type[ClipNetwork], task: Task, **settings) -> tuple[ClipNetwork, NetworkInput]:
    """The same, and two clips for it."""
    return seeded(kind, task, **settings), clips(task)


def lively(network: ClipNetwork) -> ClipNetwork:
    """Make the first weights of a small transformer large enough that what it mixes shows in the scores."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
    return network


def clips(task: Task, count: int = 2, device: str | None = None) -> NetworkInput:
    """Random clips, the same in every call, on a device or the one that is set; faces are found in all frames."""
    where = torch.device(device) if device else torch.get_default_device()
    random = None if where.type == "meta" else torch.Generator(where).manual_seed(1)
    shape = (count, task.num_frames)
    side, made = task.image_size, {"generator": random, "device": where}
    return seen(
        torch.randn(*shape, 3, side, side, **made), torch.rand(*shape, task.keypoints.count, 2, **made)
    )


def seen(frames: Tensor, keypoints: Tensor, **others: Tensor | float) -> NetworkInput:
    """Clips whose face was found in every frame."""
    found = torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device)
    return NetworkInput(frames, keypoints, found, **others)


def count(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def millions(module: nn.Module) -> float:
    return count(module) / 1e6


def scores(network: ClipNetwork, given: NetworkInput) -> Tensor:
    """The scores when predicting."""
    with torch.no_grad():
        return network.eval()(given).clip


def reversed_in_time(given: NetworkInput) -> NetworkInput:
    return given._replace(frames=given.frames.flip(1))


def order_matters(network: ClipNetwork, given: NetworkInput) -> tuple[bool, bool]:
    """Whether the scores change if the frames are reversed, and if the first two change places."""
    swapped = given.frames[:, [1, 0, *range(2, given.frames.shape[1])]]
    plain = scores(network, given)
    return tuple(
        not torch.allclose(scores(network, changed), plain, atol=1e-5)
        for changed in (reversed_in_time(given), given._replace(frames=swapped))
    )


def without_gradient(network: ClipNetwork, given: NetworkInput) -> list[str]:
    """Names of the parameters that the losses of a training step do not reach. Every clip is of class 1."""
    found = network.train()(given)
    truth = nn.functional.one_hot(torch.ones(len(given.frames), dtype=torch.long), network.classes).float()
    logits = [found.clip, *found.auxiliary.values()]
    losses = [nn.functional.cross_entropy(each, truth, reduction="none") for each in logits]
    losses += [*found.penalties.values(), *network.judged(found, truth).values()]
    sum(loss.sum() for loss in losses).backward()
    return [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


def shapes(network: ClipNetwork, task: Task, *names: str) -> dict[str, tuple[int, ...]]:
    """The shapes of what these parts return for two clips, by name. network: on the meta device"""
    found = {}
    for name in names:
        module = network.get_submodule(name)
        module.register_forward_hook(lambda *given, name=name: found.update({name: tuple(given[2].shape)}))
    assert network(clips(task, device="meta")).clip.shape == (2, task.classes)
    return found


class Described(NamedTuple):
    """What `train describe` counts of one clip; the shapes of the parts' outputs without the batch."""

    shapes: dict[str, tuple[int, ...]]
    giga_multiply_adds: float


def described(
    kind: type[ClipNetwork], task: Task, for_training: tuple[str, ...] = (), **settings
) -> Described:
    """Follow one clip through a network. Fails if the listed parts do not add up to the network.

    for_training: the last parts, which serve a loss alone and are not used when predicting
    """
    network = on_meta(kind, task, **settings)
    modules, found = dict(network.named_modules()), {}
    for name in kind.parts:
        modules[name].register_forward_hook(
            lambda _m, _i, out, name=name: found.update({name: tuple(out.shape[1:])})
        )
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(clips(task, 1, "meta"))
    assert (*found, *for_training) == tuple(kind.parts)
    assert sum(count(modules[name]) for name in kind.parts) == count(network)
    return Described(found, counter.get_total_flops() / 2e9)
