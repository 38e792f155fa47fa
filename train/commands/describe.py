"""The network part by part: output shapes, parameters, multiply-adds."""

from dataclasses import dataclass

from dfer.schemas.blendshapes import BLENDSHAPES
from dfer.schemas.keypoints import DLIB18
from dfer.train.config import TrainConfig

# The rows of the table: a module's name in the network, and what it is.
PARTS = (
    ("backbone.conv1", "stem: 7×7 convolution"),
    ("backbone.layer1", "ResNet-18 stage 1"),
    ("backbone.layer2", "ResNet-18 stage 2"),
    ("backbone.layer3", "ResNet-18 stage 3"),
    ("backbone.layer4", "ResNet-18 stage 4"),
    ("attention", "triplet attention"),
    ("keypoint_features", "features under 18 heatmaps, global mean"),
    ("graph", "key-point graph"),
    ("fusion", "fusion of a frame's vectors"),
    ("expressions", "expression scores added to the frame's vector"),
    ("temporal", "temporal part"),
    ("clip_head", "classifier"),
    ("frame_head", "auxiliary classifier (training only)"),
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the network for one clip: its output's shape, parameters, multiply-adds (half the FLOPs)."""

    name: str
    what: str
    shape: str
    parameters: int
    multiply_adds: int


def describe(config: TrainConfig, classes: int) -> list[Part]:
    """All parts in the order in which a clip passes them, then the whole under the name `network`.

    Nothing is computed: shapes and operations are followed on torch's meta device. Multiply-adds are those of
    convolutions and matrix products, counted by torch's own counter.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from dfer.train.models.keypoint.network import DferNetwork

    data = config.data
    shapes: dict[str, str] = {}
    with torch.device("meta"):
        network = DferNetwork(config.network, classes, data.num_frames).eval()
        frames = torch.empty(1, data.num_frames, 3, data.image_size, data.image_size)
        keypoints = torch.empty(1, data.num_frames, DLIB18.count, 2)
        expressions = torch.empty(1, data.num_frames, len(BLENDSHAPES))
    modules = dict(network.named_modules())
    rows = [("", "network"), *((name, what) for name, what in PARTS if name in modules)]
    for name, _ in rows:
        modules[name].register_forward_hook(lambda _m, _i, out, name=name: shapes.update({name: _shape(out)}))
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        network(frames, keypoints, expressions)
    flops = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    parts = [
        Part(
            name=name or "network",
            what=what if name else "the whole",
            shape=shapes[name],
            parameters=_parameters(modules, name),
            multiply_adds=flops.get(f"DferNetwork.{name}" if name else "Global", 0) // 2,
        )
        for name, what in rows
    ]
    return [*parts[1:], parts[0]]


def _parameters(modules: dict, name: str) -> int:
    # The stem's batch norm has no row of its own.
    counted = [modules[name], modules["backbone.bn1"]] if name == "backbone.conv1" else [modules[name]]
    return sum(p.numel() for module in counted for p in module.parameters())


def _shape(output: object) -> str:
    parts = output if isinstance(output, tuple) else (output,)
    return ", ".join("×".join(map(str, part.shape)) for part in parts if part is not None)
