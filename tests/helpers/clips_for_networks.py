"""Networks by their class alone: built, counted without memory, given random clips."""

from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from dfer.schemas.keypoints import DLIB18
from dfer.train.models.interface import ClipNetwork, NetworkInput, Task


def task(frames: int, size: int, classes: int = 7) -> Task:
    return Task(classes=classes, num_frames=frames, image_size=size, keypoints=DLIB18)


def clips(task: Task, count: int = 2) -> NetworkInput:
    """Random clips on the device and with the seed that are set."""
    shape = (count, task.num_frames)
    return NetworkInput(
        frames=torch.randn(*shape, 3, task.image_size, task.image_size),
        keypoints=torch.rand(*shape, task.keypoints.count, 2),
        detected=torch.ones(shape, dtype=torch.bool),
    )


def on_meta(kind: type[ClipNetwork], task: Task, **settings) -> ClipNetwork:
    """A network without memory for its weights; its shapes can be followed."""
    with torch.device("meta"):
        return kind(kind.Config(**settings), task).eval()


def parameters(network: torch.nn.Module) -> float:
    """Millions of them."""
    return sum(p.numel() for p in network.parameters()) / 1e6


def seeded(kind: type[ClipNetwork], task: Task, **settings) -> tuple[ClipNetwork, NetworkInput]:
    """A network on the CPU and two clips for it, the same in every call."""
    torch.manual_seed(0)
    return kind(kind.Config(**settings), task), clips(task)


def without_gradient(network: ClipNetwork, given: NetworkInput) -> list[str]:
    """Names of the parameters that the losses of a training step do not reach."""
    scores = network.train()(given)
    losses = [scores.clip.logsumexp(1), *scores.penalties.values()]
    losses += [logits.logsumexp(1) for logits in scores.auxiliary.values()]
    sum(loss.sum() for loss in losses).backward()
    return [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


def reversed_in_time(given: NetworkInput) -> NetworkInput:
    return given._replace(frames=given.frames.flip(1))


class Described(NamedTuple):
    """What `train describe` counts of one clip; the shapes of the parts' outputs without the batch."""

    shapes: dict[str, tuple[int, ...]]
    giga_multiply_adds: float


def described(kind: type[ClipNetwork], task: Task, **settings) -> Described:
    """Follow one clip through a network. Fails if the listed parts do not add up to the network."""
    network = on_meta(kind, task, **settings)
    with torch.device("meta"):
        given = clips(task, 1)
    modules, shapes = dict(network.named_modules()), {}
    for name in kind.parts:
        modules[name].register_forward_hook(
            lambda _m, _i, out, name=name: shapes.update({name: out.shape[1:]})
        )
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(given)
    assert list(shapes) == list(kind.parts)
    assert abs(sum(parameters(modules[name]) for name in kind.parts) - parameters(network)) < 1e-9
    return Described({name: tuple(shape) for name, shape in shapes.items()}, counter.get_total_flops() / 2e9)
