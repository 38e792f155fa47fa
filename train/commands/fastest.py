"""`train benchmark --fastest`: other ways to run a network on this machine, each in turn with the plain one."""

import dataclasses
import itertools
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from dfer.schemas.support.errors import UserError
from dfer.train.commands.measurement import INFERENCE, TimingError, Tried
from dfer.train.commands.timed_network import Repetition, TimedNetwork, as_phrase, check_machine
from dfer.train.config import ExecutionConfig

MIN_REPETITIONS = 3
SAME_SCORES = 1e-4  # largest difference that fused batch norm makes, as a share of the largest score
BFLOAT16 = "bfloat16"
# What a CPU that computes in bfloat16 is said to have (torch.cpu.get_capabilities); others convert back and forth.
CAPABILITIES = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


@dataclass(frozen=True, kw_only=True)
class Way:
    """fused: batch norm in the convolutions; the rest as in ExecutionConfig."""

    fused: bool = False
    channels_last: bool = False
    precision: str = "float32"
    compile: bool = False

    @property
    def name(self) -> str:
        parts = ["fused batch norm"] * self.fused + ["channels-last"] * self.channels_last
        parts += [self.precision] * (self.precision != "float32") + ["compile"] * self.compile
        return " + ".join(parts) or "plain"

    def settings(self, execution: ExecutionConfig) -> ExecutionConfig:
        return dataclasses.replace(
            execution, channels_last=self.channels_last, precision=self.precision, compile=self.compile
        )


def try_ways(network: TimedNetwork, seconds: float, *, compiles: bool = True) -> Iterator[Tried]:
    """Time every combination of fused batch norm, channels-last and bfloat16, then the fastest of them compiled.

    Compiling takes minutes, so it is not tried with each. Where fused batch norm works, all have it.

    seconds: how long each is repeated, at least
    compiles: whether to compile at all
    """
    execution = network.config.execution
    plain = Way(
        channels_last=execution.channels_last, precision=execution.precision, compile=execution.compile
    )
    ways, found = [plain], {plain: 1.0}

    def attempt(way: Way) -> Tried:
        ways.append(way)
        tried = _tried(network, way, seconds)
        found[way] = tried.speedup or 0.0
        return tried

    fuses = False
    if network.task == INFERENCE:
        fusing = attempt(dataclasses.replace(plain, fused=True))
        fuses = fusing.failure is None
        yield fusing
    formats = ["float32", BFLOAT16]
    if not has_bfloat16(network.device):
        formats.remove(BFLOAT16)
        yield Tried(way=BFLOAT16, failure=f"this {network.device.type.upper()} does not compute in it")
    for channels_last, precision in itertools.product((False, True), formats):
        way = dataclasses.replace(plain, fused=fuses, channels_last=channels_last, precision=precision)
        if way not in ways:
            yield attempt(way)
    best = max(ways, key=lambda way: found[way])
    if compiles and not best.compile:
        yield attempt(dataclasses.replace(best, compile=True))


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 itself. Of Apple's it is not known, so that it is tried."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "mps":
        return True
    has = getattr(torch.cpu, "get_capabilities", dict)()  # older versions of torch cannot tell
    return any(has.get(name) for name in CAPABILITIES)


def _tried(network: TimedNetwork, way: Way, seconds: float) -> Tried:
    try:
        repeat = _ready(network, way)
        with as_phrase():
            pairs = []
            while len(pairs) < MIN_REPETITIONS or sum(other for _, other in pairs) < seconds:
                pairs.append((network.seconds(), network.seconds(repeat)))
    except (TimingError, UserError) as error:
        return Tried(way=way.name, failure=str(error))
    return Tried(way=way.name, speedup=statistics.median(plain / other for plain, other in pairs))


def _ready(network: TimedNetwork, way: Way) -> Repetition:
    """What is timed, after it ran once, which compiles it. Raises TimingError or UserError."""
    config = dataclasses.replace(network.config, execution=way.settings(network.config.execution))
    check_machine(config, network.device)
    with as_phrase():
        repeat = network.repetition(config, fuse=way.fused)
        scores = repeat()
        if way.fused and config == network.config:
            expected = network.plain()
            if not torch.allclose(scores, expected, rtol=0, atol=SAME_SCORES * expected.abs().max().item()):
                raise TimingError("other scores than without it")
    return repeat
