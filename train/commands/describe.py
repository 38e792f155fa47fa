"""`train describe`: the network part by part, with output shapes, parameters and multiply-adds."""

from dataclasses import dataclass

from dfer.schemas.blendshapes import BLENDSHAPES
from dfer.schemas.keypoints import DLIB18, LANDMARKS, KeypointSet
from dfer.train.config import TrainConfig

# The rows of the table: a module's name in the network, and what it does.
PARTS = (
    ("backbone.conv1", "stem: 7×7 convolution"),
    ("backbone.layer1", "ResNet-18 stage 1"),
    ("backbone.layer2", "ResNet-18 stage 2"),
    ("backbone.layer3", "ResNet-18 stage 3"),
    ("backbone.layer4", "ResNet-18 stage 4"),
    ("attention", "triplet attention"),
    ("keypoint_features", "key-point maps, global mean"),
    ("graph", "key-point graph"),
    ("fusion", "fusion of a frame's vectors"),
    ("expressions", "expression scores"),
    ("geometry.fc", "points and scores, to the frame's vector"),
    ("geometry.head", "points and scores, to the class scores"),
    ("temporal", "temporal part"),
    ("clip_head", "classifier"),
    ("frame_head", "auxiliary classifier"),
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the network, or all of it, for one clip.

    name: of the module, `network` for all of it
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

    from dfer.train.models.keypoint.network import DferNetwork

    data = config.data
    shapes: dict[str, str] = {}
    with torch.device("meta"):
        network = DferNetwork(config.network, classes, data.num_frames, keypoints).eval()
        frames = torch.empty(1, data.num_frames, 3, data.image_size, data.image_size)
        points = torch.empty(1, data.num_frames, keypoints.count, 2)
        detected = torch.ones(1, data.num_frames, dtype=torch.bool)
        landmarks = torch.empty(1, data.num_frames, LANDMARKS, 2)
        scores = torch.empty(1, data.num_frames, len(BLENDSHAPES))
        expressions = scores if config.network.takes_expressions else None
    modules = dict(network.named_modules())
    rows = [*((name, what) for name, what in PARTS if name in modules), ("", "complete network")]
    for name, _ in rows:
        modules[name].register_forward_hook(lambda _m, _i, out, name=name: shapes.update({name: _shape(out)}))
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        network(frames, points, detected=detected, landmarks=landmarks, expressions=expressions)
    flops = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    return [
        Part(
            name=name or "network",
            what=what,
            shape=shapes[name],
            parameters=_count_parameters(modules, name),
            multiply_adds=flops.get(f"DferNetwork.{name}" if name else "Global", 0) // 2,
        )
        for name, what in rows
    ]


def _count_parameters(modules: dict, name: str) -> int:
    # The stem's batch norm is counted with its convolution.
    counted = [modules[name], modules["backbone.bn1"]] if name == "backbone.conv1" else [modules[name]]
    return sum(p.numel() for module in counted for p in module.parameters())


def _shape(output: object) -> str:
    outputs = output if isinstance(output, tuple) else (output,)
    return ", ".join("×".join(map(str, tensor.shape)) for tensor in outputs if tensor is not None)
