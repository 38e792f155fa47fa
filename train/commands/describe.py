"""`train describe`: the network part by part, with output shapes, parameters and multiply-adds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dfer.schemas.keypoints import DLIB18, KeypointSet
from dfer.train.config import TrainConfig

if TYPE_CHECKING:
    from torch import nn

    from dfer.train.models.interface import ClipNetwork


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the network, or all of it, for one clip.

    name: of its modules, `network` for all of it
    what: its description
    shape: of its output
    parameters, multiply_adds: numbers of; a multiply-add is two FLOPs
    """

    name: str
    what: str
    shape: str
    parameters: int
    multiply_adds: int


def network_parts(config: TrainConfig, classes: int, keypoints: KeypointSet = DLIB18) -> list[Part]:
    """List the parts in the order of the forward pass; the complete network comes last.

    Nothing is computed: torch's meta device follows the shapes, and torch's own counter counts the multiply-adds of
    convolutions and matrix products.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from dfer.train.models.made_up import made_up_input
    from dfer.train.models.registry import network_class

    shapes: dict[str, str] = {}
    with torch.device("meta"):
        network = network_class(config.model)(config.network, config.task(classes, keypoints)).eval()
    given = made_up_input(network, config.network, 1, config.data.num_frames)
    given = given._replace(**{name: values.to("meta") for name, values in given.tensors().items()})
    modules = dict(network.named_modules())
    rows = [(names, what) for names, what in _parts(network).items() if names.split(" + ")[0] in modules]
    for names, _ in (*rows, ("", "")):
        module = modules[names.split(" + ")[0]]
        module.register_forward_hook(lambda _m, _i, out, names=names: shapes.update({names: _shape(out)}))
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        network(given)
    flops = {name: sum(counts.values()) // 2 for name, counts in counter.get_flop_counts().items()}
    parts = [
        Part(
            name=names,
            what=what,
            shape=shapes.get(names, ""),
            parameters=sum(_count(modules[name]) for name in names.split(" + ")),
            multiply_adds=sum(_multiply_adds(network, name, flops) for name in names.split(" + ")),
        )
        for names, what in rows
    ]
    complete = Part(
        name="network",
        what="complete network",
        shape=shapes[""],
        parameters=_count(network),
        multiply_adds=flops.get("Global", 0),
    )
    return [*parts, complete]


def _parts(network: "ClipNetwork") -> Mapping[str, str]:
    """Names of modules, joined by ` + `, and what they do."""
    return network.parts or {name: type(module).__name__ for name, module in network.named_children()}


def _multiply_adds(network: "ClipNetwork", name: str, counted: Mapping[str, int]) -> int:
    """Those of a module; of one that the network calls part by part, those of its parts."""
    found = counted.get(f"{type(network).__name__}.{name}")
    if found is not None:
        return found
    children = network.get_submodule(name).named_children()
    return sum(_multiply_adds(network, f"{name}.{child}", counted) for child, _ in children)


def _count(module: "nn.Module") -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _shape(output: object) -> str:
    import torch

    outputs = output if isinstance(output, tuple) else (output,)
    return ", ".join("×".join(map(str, found.shape)) for found in outputs if isinstance(found, torch.Tensor))
