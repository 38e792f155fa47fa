"""The presets of these networks fit their settings, and give the published number of parameters."""

import tomllib

import networks
import pytest

from dfer.train.config import PRESETS, DataConfig, RecipeConfig
from dfer.train.models.frames.ceflnet import Ceflnet
from dfer.train.models.frames.densenet import DenseNetAverage
from dfer.train.models.frames.emotion_fan import EmotionFan
from dfer.train.models.frames.resnet_average import ResNetAverage
from dfer.train.models.frames.resnet_recurrent import ResNetRecurrent
from dfer.train.models.frames.vit import VitFrames


@pytest.mark.parametrize(
    ("preset", "name", "network", "millions"),
    [
        ("resnet18", "resnet-average", ResNetAverage, 11),
        ("resnet50", "resnet-average", ResNetAverage, 23.5),
        ("resnet18-lstm", "resnet-recurrent", ResNetRecurrent, 27 / 2),
        ("resnet18-gru", "resnet-recurrent", ResNetRecurrent, 12.8),
        ("densenet", "densenet", DenseNetAverage, 27),
        ("vit", "vit", VitFrames, 86),
        ("vit-lstm", "vit", VitFrames, 88.4),
        ("emotion-fan", "emotion-fan", EmotionFan, 11.2),
        ("ceflnet", "ceflnet", Ceflnet, 13),
    ],
)
def test_a_preset_fits_its_network(preset, name, network, millions):
    content = tomllib.loads((PRESETS / f"{preset}.toml").read_text())
    data, recipe = DataConfig(**content["data"]), RecipeConfig(**content["recipe"])
    assert content["model"] == name
    assert recipe.epochs > max(recipe.milestones)
    built = networks.on_meta(network, networks.task(data.num_frames, data.image_size), **content["network"])
    assert networks.count(built) == pytest.approx(millions * 1e6, rel=0.03)
