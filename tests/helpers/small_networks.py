"""Small settings of every network of the registry: a step on a few clips takes milliseconds, not seconds."""

import dataclasses
from typing import Any

from dfer.train.models.registry import PAPER, settings_class

FRAMES, SIDE = 4, 32
# What makes each model small, and the learning rate at which it then learns six clips; many have a ResNet-18, whose
# width is fixed.
NETWORKS: dict[str, dict[str, Any]] = {
    PAPER: {"stage_strides": (1, 2, 2, 2), "depth": 1, "mlp_width": 64},
    "resnet-average": {},
    "resnet-recurrent": {"units": 64},
    "densenet": {"growth_rate": 8, "block_layers": (2, 2, 2), "learning_rate": 3e-3},
    "vit": {"patch": 8, "width": 64, "depth": 2, "heads": 4, "mlp_width": 128},
    "emotion-fan": {},
    "ceflnet": {"snippets": 3, "snippet_frames": 2},
    "c3d": {"width": 16, "fc_width": 256, "learning_rate": 1e-3},
    "c3d-lstm": {"width": 8, "fc_width": 64, "hidden": 32, "segments": 2, "learning_rate": 2e-3},
    "p3d": {"width": 16, "image_size": 64, "learning_rate": 3e-3},
    "resnet3d-18": {"width": 8, "learning_rate": 1e-3},
    "i3d": {"width": 16, "image_size": 48, "learning_rate": 1e-3},
    "former-dfer": {"depth": 1, "spatial_mlp_width": 64, "mlp_width": 64},
    "nr-dfernet": {"static_depth": 1, "depth": 1, "static_mlp_width": 64, "mlp_width": 64},
    "logo-former": {"width": 32, "depth": 1, "heads": 2, "mlp_width": 64, "window_frames": 2},
    "stt": {"width": 32, "depth": 1, "heads": 2, "mlp_width": 64},
    "est": {"snippets": 2, "depth": 1, "mlp_width": 64},
    "dpcnet": {"width": 8, "embedding": 32, "learning_rate": 1e-3},
    "estlnet": {"channels": 32, "depth": 1, "heads": 2, "head_dim": 16, "gru_width": 32},
    "t-esfl": {"snippets": 2, "depth": 1, "mlp_width": 64},
}


def small(model: str) -> dict[str, Any]:
    """Settings of a small network of this model, of its input and its learning rate, as `load_config` takes them."""
    common = {"num_frames": FRAMES, "image_size": SIDE, "learning_rate": 3e-4}
    return {"model": model, **common, **NETWORKS[model]}


def without_dropout(model: str) -> dict[str, Any]:
    """`small` without the dropout that can be turned off."""
    names = [field.name for field in dataclasses.fields(settings_class(model))]
    return {**small(model), **({"dropout": 0.0} if "dropout" in names else {})}


def flags(settings: dict[str, Any]) -> list[str]:
    """Settings as arguments of `train run`."""
    found = []
    for name, value in settings.items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        found += [f"--{name.replace('_', '-')}", text]
    return found
