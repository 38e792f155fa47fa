"""ONNX against the network itself: speed at one clip on the CPU, and which networks can be exported.

    python tests/benchmarks/runtime.py [--presets quick,lean,strong]
    python tests/benchmarks/runtime.py --networks [--only vit,c3d]

The first calls the network and its float32 and int8 files in turn, so a machine that changes its speed slows all, and
prints median ratios. The second exports every network of the registry in small to ONNX and to a program, and compares
both with it at several batch sizes.
"""

import argparse
import sys
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
from dfer.train.models.made_up import made_up_input
from dfer.train.models.registry import build
from dfer.train.use import traced
from dfer.train.use.export import compare
from dfer.train.use.exported import of_program, of_session, open_session
from dfer.train.use.quantize import as_int8, times_as_fast

CLASSES = 7


def network_of(config: TrainConfig) -> ClipNetwork:
    return build(config.model, config.network, config.task(CLASSES, DLIB18), 0).eval()


def speed(preset: str) -> tuple[float, ...]:
    """How many times as fast as the network its float32 and its int8 file predict a clip."""
    config = load_config(preset).settled(False)
    network = network_of(config)
    content = traced.as_onnx(traced.trace(network, config)[0], {})
    given = made_up_input(network, config.network, 1, config.data.num_frames)
    files = [of_session(open_session(each), CLASSES) for each in (content, as_int8(content, [given]))]
    return times_as_fast(network, files, given)


def tried(model: str) -> str:
    """How the export of a small network went, in a phrase."""
    config = load_config("quick", small(model))
    network = network_of(config)
    try:
        program, any_frames = traced.trace(network, config)
        files = {
            "ONNX": of_session(open_session(traced.as_onnx(program, {})), CLASSES),
            "torch": of_program(program, CLASSES),
        }
    except UserError as error:
        return str(error)
    checks = {name: compare(network, file, config, None, any_frames) for name, file in files.items()}
    frames = "any number of frames" if any_frames else "its own number of frames"
    return ", ".join([frames, *(f"{name} differs by {each.difference:.1e}" for name, each in checks.items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", default="quick,lean,strong")
    parser.add_argument("--networks", action="store_true")
    parser.add_argument("--only", default=",".join(NETWORKS))
    options = parser.parse_args()
    console = Console()
    if options.networks:
        for model in options.only.split(","):
            console.print(f"{model}: {tried(model)}", soft_wrap=True)
        return
    table = Table(title=f"one clip, threads: {torch.get_num_threads()}", title_justify="left")
    for column in ("preset", "ONNX, times as fast as torch", "int8, times as fast"):
        table.add_column(column)
    for preset in options.presets.split(","):
        table.add_row(preset, *(f"{ratio:.2f}" for ratio in speed(preset)))
    console.print(table)


if __name__ == "__main__":
    main()
