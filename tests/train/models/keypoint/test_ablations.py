"""Each ablation of the paper is the base with exactly the named part changed: parameter names and shapes tell."""

import pytest
import torch

from dfer.schemas.support.errors import UserError
from dfer.train.commands.sweep import load_sweep
from dfer.train.config import load_config
from dfer.train.models.keypoint.network import DferNetwork

SPATIAL = {"backbone", "attention"}


def parameters(**overrides):
    """Name → shape of all parameters of the paper preset with these overrides."""
    config = load_config("paper", overrides)
    with torch.device("meta"):
        network = DferNetwork(config.network, 7, config.data.num_frames)
    return {name: tuple(weight.shape) for name, weight in network.named_parameters()}


def parts(names):
    return {name.split(".")[0] for name in names}


def difference(one, other):
    """Names only in one, names only in the other, names in both with another shape."""
    common = one.keys() & other.keys()
    reshaped = {name for name in common if one[name] != other[name]}
    return one.keys() - other.keys(), other.keys() - one.keys(), reshaped


@pytest.fixture(scope="module")
def base():
    return parameters()


@pytest.fixture(scope="module")
def models():
    """Table 9's A–E as the sweep sets them."""
    return {v.name: parameters(**v.settings) for v in load_sweep("parts").variants}


def test_e_is_the_base(models, base):
    assert models["E"] == base
    assert parts(base) == SPATIAL | {"graph", "temporal", "clip_head", "frame_head"}


def test_d_lacks_the_relation_of_the_graphs_message_and_keeps_its_layer(models, base):
    assert difference(base, models["D"]) == ({"graph.relation"}, set(), set())


def test_c_has_an_lstm_in_place_of_the_transformer(models, base):
    gone, new, reshaped = difference(base, models["C"])
    lstm = {f"temporal.lstm.{name}_l0" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    assert gone == {name for name in base if name.startswith("temporal.")}
    assert new == lstm and not reshaped


def test_b_has_no_temporal_part_no_loss_over_frames_and_a_plain_mean_of_vectors(models, base):
    gone, new, reshaped = difference(base, models["B"])
    assert parts(gone) == {"temporal", "frame_head"}
    assert gone == {name for name in base if name.split(".")[0] in ("temporal", "frame_head")}
    assert new == {"fusion.widen.weight", "fusion.widen.bias"} and not reshaped


def test_a_is_b_without_the_graph_and_so_a_mean_of_the_backbones_own_vectors(models):
    gone, new, reshaped = difference(models["B"], models["A"])
    graph = {"graph.relation", "graph.fc.weight", "graph.fc.bias"}
    # The vectors have their 512 numbers already: nothing is widened.
    assert gone == graph | {"fusion.widen.weight", "fusion.widen.bias"}
    assert not new and not reshaped
    assert parts(models["A"]) == SPATIAL | {"clip_head"}


def test_a_is_the_mean_over_all_vectors_of_all_frames():
    config = load_config("paper", {"graph": "none", "fusion": "mean", "temporal": "mean"})
    network = DferNetwork(config.network, 7, 2).eval()
    frames, keypoints = torch.randn(1, 2, 3, 32, 32), torch.rand(1, 2, 18, 2)
    with torch.no_grad():
        scores = network(frames, keypoints)
        features = network.attention(network.backbone(frames[0]))
        local, whole = network.keypoint_features(features, keypoints[0])
        mean = (local.sum((0, 1)) + whole.sum(0)) / (2 * 19)
        torch.testing.assert_close(scores.clip[0], network.clip_head(mean))
    assert scores.frames is None


@pytest.mark.parametrize(
    ("fusion", "new"),
    [
        ("structure", set()),
        ("mean", {"fusion.widen.weight", "fusion.widen.bias"}),
        ("lstm", {f"fusion.lstm.{n}_l0" for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}),
    ],
)
def test_another_fusion_changes_the_fusion_alone(base, fusion, new):
    assert difference(base, parameters(fusion=fusion)) == (set(), new, set())


@pytest.mark.parametrize("heads", [6, 8, 10, 12])
def test_another_number_of_heads_reshapes_the_attention_alone(base, heads):
    changed = parameters(heads=heads)
    gone, new, reshaped = difference(base, changed)
    attention = {f"temporal.blocks.{i}.attention.{n}.weight" for i in range(3) for n in ("qkv", "out")}
    assert not gone and not new
    assert reshaped == (set() if heads == 8 else attention)
    assert changed["temporal.blocks.0.attention.qkv.weight"] == (3 * heads * 64, 512)


@pytest.mark.parametrize("depth", [2, 3, 4, 5, 6])
def test_another_depth_adds_or_removes_whole_blocks(base, depth):
    gone, new, reshaped = difference(base, parameters(depth=depth))
    block = {name.split(".", 3)[3] for name in base if name.startswith("temporal.blocks.0.")}

    def blocks(numbers):
        return {f"temporal.blocks.{i}.{name}" for i in numbers for name in block}

    assert gone == blocks(range(depth, 3)) and new == blocks(range(3, depth)) and not reshaped


@pytest.mark.parametrize("sweep", ["lambda", "fusion", "heads", "depth", "parts"])
def test_every_variant_of_every_sweep_is_a_setting_that_loads(sweep):
    configs = [load_config("paper", variant.settings) for variant in load_sweep(sweep).variants]
    assert len(set(configs)) == len(configs)


def test_lambda_changes_no_parameter(base):
    assert parameters(frame_weight=0.5) == base


def test_the_global_branch_alone_has_no_keypoint_in_it_and_says_so():
    with pytest.raises(UserError, match="--graph layer"):
        load_config("paper", {"fusion": "global"})
    config = load_config("paper", {"fusion": "global", "graph": "layer", "temporal": "mean"})
    network = DferNetwork(config.network, 7, 1).eval()
    frames, keypoints = torch.randn(2, 1, 3, 32, 32), torch.rand(2, 1, 18, 2)
    assert torch.equal(network(frames, keypoints).clip, network(frames, keypoints.flip(2)).clip)
