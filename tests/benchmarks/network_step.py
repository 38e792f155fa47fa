"""Time a training step of the paper preset, next to other ways to compute it.

    python tests/benchmarks/network_step.py [--clips 2] [--rounds 7]

The others are: the network with the masked copies of the map written out; each part forward and backward on its own,
to show what is lost between the parts; channels last; the geometry branch with the landmark regression. Rounds
alternate between them, so a machine that changes its speed slows all of them. Prints medians and ratios, then the
slowest operations of one of our steps.
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from dfer.schemas.blendshapes import BLENDSHAPES
from dfer.schemas.keypoints import DLIB18, LANDMARKS
from dfer.train.config import load_config
from dfer.train.engine.objective import Objective, objective
from dfer.train.engine.optim import make_optimiser
from dfer.train.models.interface import NetworkInput
from dfer.train.models.keypoint.heatmaps import gaussian_maps
from dfer.train.models.keypoint.network import KeypointFeatures, KeypointNetwork
from dfer.train.models.registry import build

CONFIG = load_config("paper")
CLASSES = 7


class MaskedCopies(KeypointFeatures):
    """Eq. 2 as printed: the map times each Gaussian, then the means."""

    def forward(self, features: Tensor, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        maps = gaussian_maps(keypoints, *features.shape[2:], self.sigma, self.scale)  # (B, K, h, w)
        copies = features[:, None] * maps[:, :, None]  # (B, K, C, h, w)
        return copies.mean((3, 4)), features.mean((2, 3))


class Step:
    """A network with its optimiser; a call takes one step on the batch."""

    settings = CONFIG.network

    def __init__(self, batch: tuple[Tensor, Tensor, Tensor]) -> None:
        self.frames, self.keypoints, self.labels = batch
        detected = torch.ones(self.frames.shape[:2], dtype=torch.bool)
        self.given = NetworkInput(self.frames, self.keypoints, detected)
        self.network = build(CONFIG.model, self.settings, CONFIG.task(CLASSES, DLIB18), 0).train()
        self.optimiser = make_optimiser(self.network, CONFIG.recipe)
        self.loss: Objective = objective(CONFIG.recipe, self.labels.numpy(), self.network)

    def __call__(self) -> float:
        self.optimiser.zero_grad(set_to_none=True)
        scores = self.network(self.given)
        loss = self.loss.total(scores, self.labels) / len(self.labels)
        loss.backward()
        self.optimiser.step()
        return loss.item()


class WithGeometry(Step):
    """The geometry branch on points and scores, and the regression, which a step only carries along."""

    settings = dataclasses.replace(CONFIG.network, geometry="on", expression_scores="on", landmark_weight=0.5)

    def __init__(self, batch: tuple[Tensor, Tensor, Tensor]) -> None:
        super().__init__(batch)
        frames = self.frames.shape[:2]
        self.given = self.given._replace(
            landmarks=torch.rand(*frames, LANDMARKS, 2), expressions=torch.rand(*frames, len(BLENDSHAPES))
        )


class PartByPart(Step):
    """Every part forward and backward on its own, on inputs made once."""

    def __init__(self, batch: tuple[Tensor, Tensor, Tensor]) -> None:
        super().__init__(batch)
        self.parts = list(inputs_of_parts(self.network, self.frames, self.keypoints))

    def __call__(self) -> float:
        self.optimiser.zero_grad(set_to_none=True)
        for part, inputs in self.parts:
            results = part(*inputs)
            results = [results] if isinstance(results, Tensor) else list(results)
            torch.autograd.backward(results, [torch.ones_like(result) for result in results])
            for tensor in inputs:
                tensor.grad = None
        self.optimiser.step()
        return 0.0


def inputs_of_parts(
    network: KeypointNetwork, frames: Tensor, keypoints: Tensor
) -> list[tuple[nn.Module, list[Tensor]]]:
    """Each part with its inputs in a step."""
    seen: list[tuple[nn.Module, list[Tensor]]] = []
    backbone = network.backbone
    stem = nn.Sequential(backbone.conv1, backbone.bn1, backbone.relu, backbone.maxpool)
    stages = [backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4]
    x, points = frames.flatten(0, 1), keypoints.flatten(0, 1)

    def run(part: nn.Module, *inputs: Tensor, picture: bool = False) -> Tensor | tuple[Tensor, ...]:
        detached = [tensor.detach().clone().requires_grad_(not picture) for tensor in inputs]
        seen.append((part, detached))
        with torch.no_grad():
            return part(*inputs)

    x = run(stem, x, picture=True)  # images need no gradient
    for part in (*stages, network.attention):
        x = run(part, x)
    vectors = run(network.keypoint_features, x, points)  # local, global
    seen[-1][1][1].requires_grad_(False)  # nor do key-points
    fused = run(network.fusion, *run(network.graph, *vectors)).unflatten(0, frames.shape[:2])
    run(network.clip_head, run(network.temporal, fused))
    run(network.frame_head, fused.mean(1))
    return seen


def steps(batch: tuple[Tensor, Tensor, Tensor]) -> dict[str, Callable[[], float]]:
    masked = Step(batch)
    masked.network.keypoint_features = MaskedCopies(
        CONFIG.network.heatmap_sigma, CONFIG.network.heatmap_scale
    )
    last = Step(batch)
    last.network.to(memory_format=torch.channels_last)
    return {
        "ours": Step(batch),
        "masked copies": masked,
        "part by part": PartByPart(batch),
        "ours, --channels-last": last,
        "ours, --geometry on": WithGeometry(batch),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.manual_seed(0)
    size = CONFIG.data.image_size
    batch = (
        torch.randn(options.clips, CONFIG.data.num_frames, 3, size, size),
        torch.rand(options.clips, CONFIG.data.num_frames, DLIB18.count, 2),
        torch.arange(options.clips) % CLASSES,
    )
    candidates = steps(batch)
    ours, masked = candidates["ours"](), candidates["masked copies"]()
    assert abs(ours - masked) < 1e-4 * abs(ours), (ours, masked)  # the same network
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(options.rounds):
        for name, step in candidates.items():
            started = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - started)
    console = Console()
    table = Table(
        title=f"one step, {options.clips} clips, {torch.get_num_threads()} threads", title_justify="left"
    )
    for column in ("", "seconds", "relative"):
        table.add_column(column, justify="right" if column else "left")
    for name, taken in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(taken, seconds["ours"], strict=True))
        table.add_row(name, f"{statistics.median(taken):.3f}", f"{ratio:.3f}")
    console.print(table)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        candidates["ours"]()
    events = sorted(profile.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    for event in events[:12]:
        console.print(f"{event.self_cpu_time_total / total:6.1%}  {event.count:4} × {event.key}")


if __name__ == "__main__":
    main()
