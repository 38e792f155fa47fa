"""A network as files of other programs: torch.export's program, ONNX, safetensors."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dfer.schemas.support.errors import UserError
from dfer.train.config import TrainConfig
from dfer.train.models.interface import ClipNetwork, NetworkInput
from dfer.train.models.made_up import made_up_input

CLIPS = 3  # in the batch that is traced; one would become a constant


class Probabilities(nn.Module):
    """A network with the probabilities of the classes as its only output."""

    def __init__(self, network: ClipNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        frames: Tensor,
        keypoints: Tensor,
        detected: Tensor,
        landmarks: Tensor | None = None,
        expressions: Tensor | None = None,
    ) -> Tensor:
        """The fields of `NetworkInput` → (B, classes)."""
        scores = self.network(NetworkInput(frames, keypoints, detected, landmarks, expressions)).clip
        if self.network.class_shift is not None:
            scores = scores + self.network.class_shift
        return scores.softmax(1)


def trace(network: ClipNetwork, config: TrainConfig) -> tuple[Any, bool]:
    """Trace a network with torch.export, for any number of clips and, where it can, of frames.

    Returns the ExportedProgram, and whether it takes any number of frames. Raises UserError if it cannot be traced.
    """
    given = made_up_input(network, config.network, CLIPS, config.data.num_frames).tensors()
    traced, reasons = Probabilities(network), []
    tried = (True, False) if _takes_other_frames(traced, network, config) else (False,)
    for any_frames in tried:
        axes = {0: torch.export.Dim.DYNAMIC} | ({1: torch.export.Dim.DYNAMIC} if any_frames else {})
        try:
            with quiet():
                program = torch.export.export(traced, (), given, dynamic_shapes=dict.fromkeys(given, axes))
            # A program that was traced with few frames may refuse more, and says so only when it is called.
            if not any_frames or _takes_other_frames(program.module(), network, config):
                return program, any_frames
        except Exception as error:  # torch raises many kinds, and a user's own network any
            reasons.append(_first_line(error))
    raise UserError(f"{config.model} cannot be exported: {reasons[-1]}; --format safetensors always works")


def as_onnx(program: Any, texts: dict[str, str]) -> bytes:
    """Turn a program into an ONNX file. Raises UserError if an operation has none in ONNX."""
    try:
        with quiet():
            model = torch.onnx.export(program, dynamo=True, verbose=False).model_proto
    except Exception as error:
        raise UserError(
            f"it cannot be exported to ONNX: {_first_line(error)}; --format torch may work"
        ) from None
    used = {name for node in model.graph.node for name in node.input}
    kept = [each for each in model.graph.input if each.name in used]
    del model.graph.input[:], model.graph.value_info[:]
    model.graph.input.extend(kept)
    for each in (*model.graph.input, *model.graph.output):
        for axis, size in zip(("batch", "frames"), each.type.tensor_type.shape.dim, strict=False):
            if size.dim_param:
                size.dim_param = axis
    (output,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = ["probabilities" if name == output.name else name for name in node.output]
    output.name = "probabilities"
    for name, text in texts.items():
        model.metadata_props.add(key=name, value=text)
    return model.SerializeToString()


def as_program(program: Any, texts: dict[str, str]) -> bytes:
    """Turn a program into a .pt2 file, which `torch.export.load` reads."""
    content = io.BytesIO()
    with quiet():
        torch.export.save(program, content, extra_files=texts)
    return content.getvalue()


def as_safetensors(network: ClipNetwork, texts: dict[str, str]) -> bytes:
    """Turn the weights into a .safetensors file."""
    from safetensors.torch import save

    return save({name: value.contiguous() for name, value in network.state_dict().items()}, texts)


@torch.inference_mode()
def _takes_other_frames(called: nn.Module, network: ClipNetwork, config: TrainConfig) -> bool:
    """Whether a network or its program takes fewer and more frames than it was trained with. called: which of them"""
    frames = config.data.num_frames
    try:
        for count in (max(frames // 2, 2), frames - 1, frames + 1, 2 * frames):
            called(**made_up_input(network, config.network, 1, count).tensors())
    except Exception:  # it says so in its own way
        return False
    return frames > 1


@contextmanager
def quiet() -> Iterator[None]:
    """Keep torch's and onnxruntime's remarks to developers off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _first_line(error: Exception) -> str:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text}"
