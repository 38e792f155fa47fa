"""Speed, memory, largest batch and losses of networks on a CUDA card, with torch and numpy alone.

    python tests/benchmarks/gpu.py [--networks paper,lean] [--batches 8,64] [--minutes 8] [--out gpu.json]

Needs neither pyarrow, polars, click nor rich, nor an installed `dfer`: machines with a card can be bare. Clips are
random numbers on the device. Each network trains and predicts with every combination of number format, memory format
and torch.compile. Compiling takes long and comes last; what there is no time for is listed.
`float32` is exact float32, `tf32` allows TF32 in matrix products and convolutions. torch's default, which `train run`
keeps, lies between them: TF32 in convolutions only.

The losses of a training's first steps at the smallest batch size are compared with those of the CPU in float32, from
the same weights on the same clips, without dropout: see TOLERANCES. The exit code is 1 if one is too far off. The
result is one JSON, on stdout or in a file that is complete after each measurement.
"""

import argparse
import dataclasses
import gc
import itertools
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gpu_networks import NETWORKS, USUAL, random_batch, subject
from torch import Tensor, nn

FIRST_STEPS = 3
# Largest difference to the CPU in the first step, as a share.
TOLERANCES = {
    "float32": {"loss": 1e-4, "gradient_norm": 1e-2},
    "tf32": {"loss": 5e-3, "gradient_norm": 2e-2},
    "bfloat16": {"loss": 2e-2, "gradient_norm": 1e-1},
}
TRAINING, INFERENCE = "training", "inference"


@dataclass(frozen=True, kw_only=True)
class Case:
    """What one measurement measures."""

    network: str
    batch_size: int
    task: str = TRAINING
    precision: str = "float32"
    channels_last: bool = False
    compile: bool = False

    def __str__(self) -> str:
        extras = [" channels_last"] * self.channels_last + [" compile"] * self.compile
        return f"{self.network} {self.task} {self.precision}{''.join(extras)} batch {self.batch_size}"


class Repetition:
    """One step of a case, or one prediction, each time it is called.

    gradient_norm: of the first step's gradient, before the weights change
    """

    def __init__(self, case: Case, sizes: Mapping[str, int], device: torch.device) -> None:
        from dfer.train.engine.optim import make_optimiser

        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = case.precision == "tf32"
        self.format = "bfloat16" if case.precision == "bfloat16" else "float32"
        self.subject, self.device, self.trains = subject(case.network, sizes), device, case.task == TRAINING
        self.network = self.subject.network.to(device).train(self.trains)
        if case.channels_last:
            to_channels_last(self.network)
        for module in self.network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        if case.compile:
            self.network.compile()
        self.batch = random_batch(self.subject, case.batch_size, device)
        self.optimiser = make_optimiser(self.network, self.subject.config.recipe)
        self.gradient_norm: float | None = None

    def __call__(self) -> Tensor:
        """The loss of the step, or the logits."""
        from dfer.train.engine.precision import autocast

        if not self.trains:
            with torch.inference_mode(), autocast(self.format, self.device):
                return self.subject.predict(self.batch)
        self.optimiser.zero_grad(set_to_none=True)
        with autocast(self.format, self.device):
            loss = self.subject.loss(self.batch)
        loss.backward()
        if self.gradient_norm is None:
            gradients = [
                p.grad.double().square().sum() for p in self.network.parameters() if p.grad is not None
            ]
            self.gradient_norm = torch.stack(gradients).sum().sqrt().item()
        self.optimiser.step()
        return loss.detach()


def to_channels_last(network: nn.Module) -> None:
    """Convert the weights of 2D convolutions; `Module.to` fails on a network that has 3D ones."""
    for weight in network.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.to(memory_format=torch.channels_last)


def measure(case: Case, sizes: Mapping[str, int], device: torch.device, seconds: float) -> dict[str, Any]:
    """Steps per second, peak memory on the card in bytes, seconds of the first step, which compiles, and losses."""
    fresh(device)
    repeat = Repetition(case, sizes, device)
    started = time.perf_counter()
    firsts = [repeat()]
    synchronise(device)
    first_seconds = time.perf_counter() - started
    firsts += [repeat() for _ in range(FIRST_STEPS - 1)]
    speeds = [*blocks(repeat, device, seconds)]
    return {
        "steps_per_second": statistics.median(speeds),
        "clips_per_second": case.batch_size * statistics.median(speeds),
        "slowest_and_fastest": [min(speeds), max(speeds)],
        "memory": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        "first_step_seconds": first_seconds,
        "losses": [loss.item() for loss in firsts] if case.task == TRAINING else None,
        "gradient_norm": repeat.gradient_norm,
    }


def blocks(repeat: Callable[[], Tensor], device: torch.device, seconds: float) -> Iterator[float]:
    """Repetitions per second in each of five blocks that last `seconds` together; the host waits after each."""
    count = 1
    for block in range(6):
        started = time.perf_counter()
        for _ in range(count):
            repeat()
        synchronise(device)
        taken = time.perf_counter() - started
        if block == 0:  # only to choose the size of the others
            count = max(1, round(seconds / 5 / taken))
        else:
            yield count / taken


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def fresh(device: torch.device) -> None:
    """Forget compiled code and give back memory."""
    if "torch._dynamo" in sys.modules:  # to import it only to reset it takes seconds
        torch.compiler.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest number up to `most` that fits, to within a sixteenth of it; 0 if not even 1 does."""
    good, bad = 0, most + 1
    while bad - good > max(1, good // 16):
        number = (good + bad) // 2 if bad <= most else min(2 * good, most) or 1
        good, bad = (number, bad) if fits(number) else (good, number)
    return good


def largest_batch(case: Case, sizes: Mapping[str, int], device: torch.device, most: int) -> dict[str, Any]:
    """The largest batch that trains on the card, what it takes, and why not more."""
    reason, memory = f"not tried above {most}", {}

    def fits(clips: int) -> bool:
        nonlocal reason
        fresh(device)
        try:
            repeat = Repetition(dataclasses.replace(case, batch_size=clips), sizes, device)
            repeat(), repeat()  # the optimiser's state exists from the second step on
            synchronise(device)
        except RuntimeError as error:  # torch.OutOfMemoryError is one; so are cuDNN's about sizes
            reason = first_line(error)
            return False
        memory[clips] = torch.cuda.max_memory_allocated(device)
        return True

    clips = largest(fits, most)
    found = {"network": case.network, "precision": case.precision, "channels_last": case.channels_last}
    return {**found, "batch_size": clips, "memory": memory.get(clips), "why_not_more": reason}


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def expected(network: str, sizes: Mapping[str, int], batch_size: int) -> dict[str, Any]:
    """The losses of the first steps, and the norm of the first gradient, on the CPU in float32."""
    case = Case(network=network, batch_size=batch_size)
    repeat = Repetition(case, sizes, torch.device("cpu"))
    losses = [repeat().item() for _ in range(FIRST_STEPS)]
    return {"losses": losses, "gradient_norm": repeat.gradient_norm}


def compared(entry: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """How far the first step is from the CPU's, as shares of its loss and of the norm of its gradient."""
    off = {
        "loss": abs(entry["losses"][0] / right["losses"][0] - 1),
        "gradient_norm": abs(entry["gradient_norm"] / right["gradient_norm"] - 1),
    }
    allowed = TOLERANCES[entry["precision"]]
    return {"off": off, "agrees": all(share <= allowed[name] for name, share in off.items())}  # not if NaN


class Report:
    """The JSON, written to a file after each entry if there is one."""

    def __init__(self, out: Path | None, **content: Any) -> None:
        self.out, self.content = out, content

    def add(self, section: str, entry: Any) -> None:
        self.content.setdefault(section, []).append(entry)
        if self.out:
            unfinished = self.out.with_name(f".{self.out.name}.unfinished")
            unfinished.write_text(self.text())
            unfinished.replace(self.out)

    def text(self) -> str:
        return json.dumps(self.content, indent=1) + "\n"


def machine(device: torch.device) -> dict[str, Any]:
    facts = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "device": device.type,
    }
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        facts |= {
            "device": card.name,
            "memory": card.total_memory,
            "capability": f"{card.major}.{card.minor}",
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return facts


def cases(options: argparse.Namespace) -> list[Case]:
    """All measurements, those that compile last."""
    products = itertools.product(
        options.compile, options.networks, options.batches, options.precisions, options.layouts, options.tasks
    )
    return [
        Case(
            network=network,
            task=task,
            precision=precision,
            channels_last=layout == "channels_last",
            compile=compiled == "on",
            batch_size=clips,
        )
        for compiled, network, clips, precision, layout, task in products
    ]


def run(options: argparse.Namespace) -> Report:
    """Measure all cases, then look for the largest batches, as long as there is time."""
    device, started = torch.device(options.device), time.perf_counter()
    sizes = {name: getattr(options, name) for name in ("num_frames", "image_size") if getattr(options, name)}
    report = Report(
        options.out, machine=machine(device), tolerances=TOLERANCES, losses_agree=True, sizes=sizes
    )
    checked = min(options.batches)
    right = {name: expected(name, sizes, checked) for name in options.networks}
    report.content["cpu"] = {"batch_size": checked, **right}

    def in_time() -> bool:
        return time.perf_counter() - started < 60 * options.minutes

    for case in cases(options):
        if not in_time():
            report.add("left_out", str(case))
            continue
        entry = dataclasses.asdict(case)
        try:
            entry |= measure(case, sizes, device, options.seconds)
        except RuntimeError as error:  # out of memory, or what the compiler cannot do
            entry["failure"] = first_line(error)
        if entry.get("losses") and case.batch_size == checked:
            entry |= compared(entry, right[case.network])
            report.content["losses_agree"] &= entry["agrees"]
        report.add("measurements", entry)
        print(f"{case}: {summary(entry)}", file=sys.stderr, flush=True)
    for name, precision in itertools.product(options.networks, options.precisions):
        if device.type == "cuda" and in_time() and options.most:
            case = Case(network=name, precision=precision, batch_size=0)
            entry = largest_batch(case, sizes, device, options.most)
            report.add("largest_batches", entry)
            print(f"{name} {precision}: at most {entry['batch_size']} clips", file=sys.stderr, flush=True)
        else:
            report.add("left_out", f"{name} {precision}: the largest batch")
    return report


def summary(entry: Mapping[str, Any]) -> str:
    if "failure" in entry:
        return entry["failure"]
    memory = "" if entry["memory"] is None else f", {entry['memory'] / 2**30:.1f} GiB"
    off = "".join(f", {name} {share:.1e} off" for name, share in entry.get("off", {}).items())
    return f"{entry['steps_per_second']:.2f} steps/s, {entry['clips_per_second']:.1f} clips/s{memory}{off}"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])

    def several(name: str, allowed: tuple[str, ...], usual: tuple[str, ...]) -> None:
        def names(text: str) -> list[str]:
            given = text.split(",")
            if unknown := [name for name in given if name not in allowed]:
                raise argparse.ArgumentTypeError(f"{unknown[0]}: give some of {', '.join(allowed)}")
            return given

        parser.add_argument(f"--{name}", type=names, default=list(usual), help=", ".join(allowed))

    formats = tuple(TOLERANCES)
    several("networks", NETWORKS, USUAL)
    several("tasks", (TRAINING, INFERENCE), (TRAINING, INFERENCE))
    several("precisions", formats, formats if cuda else ("float32", "bfloat16"))
    several("layouts", ("contiguous", "channels_last"), ("contiguous", "channels_last"))
    several("compile", ("off", "on"), ("off", "on"))
    parser.add_argument("--batches", type=lambda text: [int(n) for n in text.split(",")], default=[8, 64])
    parser.add_argument("--device", default="cuda" if cuda else "cpu")
    parser.add_argument("--num-frames", type=int, help="of every network; else its preset's")
    parser.add_argument("--image-size", type=int, help="likewise")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement, without its start")
    parser.add_argument("--minutes", type=float, default=8.0, help="after which nothing more is begun")
    parser.add_argument("--most", type=int, default=2048, help="largest batch to try; 0: none")
    parser.add_argument("--out", type=Path)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    report = run(options)
    if not options.out:
        print(report.text(), end="")
    return 0 if report.content["losses_agree"] else 1


if __name__ == "__main__":
    sys.exit(main())
