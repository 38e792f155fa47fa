"""ONNX against the network itself: speed at one clip on the CPU, and which networks can be exported.

    python tests/benchmarks/runtime.py [--presets quick,lean] [--rounds 15]
    python tests/benchmarks/runtime.py --networks [--only vit,c3d]

The first calls both in turn, so a machine that changes its speed slows both, and prints the median ratio. The second
exports every network of the registry in small, and compares it at several batch sizes.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from small_networks import NETWORKS, small

from dfer.schemas.keypoints import DLIB18
from dfer.schemas.support.errors import UserError
from dfer.train.config import TrainConfig, load_config
from dfer.train.models.interface import ClipNetwork
from dfer.train.models.registry import build
from dfer.train.use import traced
from dfer.train.use.exported import OnnxSession
from dfer.train.use.traced import Probabilities, given_fields, made_up_input

CLASSES = 7


def network_of(config: TrainConfig) -> ClipNetwork:
    return build(config.model, config.network, config.task(CLASSES, DLIB18), 0).eval()


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def speed(preset: str, rounds: int) -> tuple[float, float, float]:
    """Seconds of a clip, eager and ONNX, and the median of their ratios."""
    config = load_config(preset).settled(False)
    network = network_of(config)
    program, _ = traced.trace(network, config)
    session = OnnxSession(traced.as_onnx(program, {}), CLASSES)
    given, eager = made_up_input(network, config, 1, config.data.num_frames), Probabilities(network)
    with torch.inference_mode():
        taken = [
            (seconds(lambda: eager(**given_fields(given))), seconds(lambda: session(given)))
            for _ in range(rounds + 1)
        ][1:]
    plain, onnx = zip(*taken, strict=True)
    return statistics.median(plain), statistics.median(onnx), statistics.median(a / b for a, b in taken)


@torch.no_grad()
def tried(model: str) -> str:
    """How the export of a small network went, in a phrase."""
    config = load_config("quick", small(model))
    network, frames = network_of(config), config.data.num_frames
    try:
        program, any_frames = traced.trace(network, config)
        session = OnnxSession(traced.as_onnx(program, {}), CLASSES)
        difference = 0.0
        for clips, count in ((1, frames), (4, frames), *(((2, frames + 1),) if any_frames else ())):
            given = made_up_input(network, config, clips, count)
            other = session(given).clip.exp()
            difference = max(
                difference, float((Probabilities(network)(**given_fields(given)) - other).abs().max())
            )
    except UserError as error:
        return str(error)
    return (
        f"{'any number of frames' if any_frames else 'its own number of frames'}, differs by {difference:.1e}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", default="quick,lean")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--networks", action="store_true")
    parser.add_argument("--only", default=",".join(NETWORKS))
    options = parser.parse_args()
    console = Console()
    if options.networks:
        for model in options.only.split(","):
            console.print(f"{model}: {tried(model)}", soft_wrap=True)
        return
    table = Table(title=f"one clip, {torch.get_num_threads()} threads", title_justify="left")
    for column in ("preset", "eager, ms", "ONNX, ms", "times as fast"):
        table.add_column(column)
    for preset in options.presets.split(","):
        plain, onnx, ratio = speed(preset, options.rounds)
        table.add_row(preset, f"{1000 * plain:.1f}", f"{1000 * onnx:.1f}", f"{ratio:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
