"""Each ablation of the paper changes only the part that it names, as parameter names and shapes show."""

import pytest
import torch
from networks import build, seen

from dfer.data_manifest.published_results import ablation
from dfer.schemas.keypoints import DLIB18
from dfer.schemas.support.errors import UserError
from dfer.train.config import load_config
from dfer.train.models.keypoint.network import KeypointNetwork
from dfer.train.several.sweep_file import load_sweep

SPATIAL = {"backbone", "attention"}


def parameters(**overrides):
    """Name → shape of all parameters of the paper preset with these overrides."""
    config = load_config("paper", overrides)
    with torch.device("meta"):
        network = KeypointNetwork(config.network, config.task(7, DLIB18))
    return {name: tuple(weight.shape) for name, weight in network.named_parameters()}


def parts(names):
    return {name.split(".")[0] for name in names}


def difference(one, other):
    """Names only in one, names only in the other, names in both with different shapes."""
    common = one.keys() & other.keys()
    reshaped = {name for name in common if one[name] != other[name]}
    return one.keys() - other.keys(), other.keys() - one.keys(), reshaped


@pytest.fixture(scope="module")
def base():
    return parameters()


@pytest.fixture(scope="module")
def models():
    """The variants of the sweep `parts`, Table 9."""
    return {v.name: parameters(**v.settings) for v in load_sweep("parts").variants}


def test_e_is_the_paper_preset(models, base):
    assert models["E"] == base
    assert parts(base) == SPATIAL | {"graph", "temporal", "clip_head", "frame_head"}


def test_d_drops_the_messages_and_keeps_the_graphs_fc(models, base):
    assert difference(base, models["D"]) == ({"graph.relation"}, set(), set())


def test_c_replaces_the_transformer_by_an_lstm(models, base):
    gone, new, reshaped = difference(base, models["C"])
    lstm = {f"temporal.lstm.{name}_l0" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    assert gone == {name for name in base if name.startswith("temporal.")}
    assert new == lstm and not reshaped


def test_b_drops_the_temporal_part_and_its_auxiliary_loss_and_keeps_the_region_fusion(models, base):
    gone, new, reshaped = difference(base, models["B"])
    assert parts(gone) == {"temporal", "frame_head"}
    assert gone == {name for name in base if name.split(".")[0] in ("temporal", "frame_head")}
    assert not new and not reshaped


def test_the_other_reading_of_b_averages_all_vectors_and_widens_the_mean(models):
    assert difference(models["B"], models["B-mean"]) == (
        set(),
        {"fusion.widen.weight", "fusion.widen.bias"},
        set(),
    )


def test_only_the_first_reading_of_b_has_a_published_figure_next_to_it():
    assert ablation("9", "B").keys() == {"DFEW"}
    assert not ablation("9", "B-mean")


def test_a_is_the_second_reading_of_b_without_the_graph(models):
    gone, new, reshaped = difference(models["B-mean"], models["A"])
    graph = {"graph.relation", "graph.fc.weight", "graph.fc.bias"}
    # Without the graph the vectors have 512 features already, so nothing is widened.
    assert gone == graph | {"fusion.widen.weight", "fusion.widen.bias"}
    assert not new and not reshaped
    assert parts(models["A"]) == SPATIAL | {"clip_head"}


def test_a_is_the_mean_over_all_vectors_of_all_frames():
    config = load_config("paper", {"graph": "none", "fusion": "mean", "temporal": "mean"})
    network = build(config.network, 7, 2, 0).eval()
    frames, keypoints = torch.randn(1, 2, 3, 32, 32), torch.rand(1, 2, 18, 2)
    with torch.no_grad():
        scores = network(seen(frames, keypoints))
        features = network.attention(network.backbone(frames[0]))
        local_features, global_features = network.keypoint_features(features, keypoints[0])
        mean = (local_features.sum((0, 1)) + global_features.sum(0)) / (2 * 19)
        torch.testing.assert_close(scores.clip[0], network.clip_head(mean))
    assert not scores.auxiliary


@pytest.mark.parametrize(
    ("fusion", "new"),
    [
        ("structure", set()),
        ("mean", {"fusion.widen.weight", "fusion.widen.bias"}),
        ("lstm", {f"fusion.lstm.{n}_l0" for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}),
    ],
)
def test_another_fusion_changes_only_the_fusion(base, fusion, new):
    assert difference(base, parameters(fusion=fusion)) == (set(), new, set())


@pytest.mark.parametrize("heads", [6, 8, 10, 12])
def test_another_number_of_heads_reshapes_only_the_attention(base, heads):
    changed = parameters(heads=heads)
    gone, new, reshaped = difference(base, changed)
    attention = {f"temporal.blocks.{i}.attention.{n}.weight" for i in range(3) for n in ("qkv", "out")}
    assert not gone and not new
    assert reshaped == (set() if heads == 8 else attention)
    assert changed["temporal.blocks.0.attention.qkv.weight"] == (3 * heads * 64, 512)


@pytest.mark.parametrize("depth", [2, 3, 4, 5, 6])
def test_another_depth_adds_or_removes_blocks(base, depth):
    gone, new, reshaped = difference(base, parameters(depth=depth))
    block = {name.split(".", 3)[3] for name in base if name.startswith("temporal.blocks.0.")}

    def blocks(numbers):
        return {f"temporal.blocks.{i}.{name}" for i in numbers for name in block}

    assert gone == blocks(range(depth, 3)) and new == blocks(range(3, depth)) and not reshaped


@pytest.mark.parametrize("sweep", ["lambda", "fusion", "heads", "depth", "parts"])
def test_every_variant_of_every_sweep_loads_and_is_different(sweep):
    configs = [load_config("paper", variant.settings) for variant in load_sweep(sweep).variants]
    assert len(set(configs)) == len(configs)


def test_lambda_changes_no_parameter(base):
    assert parameters(frame_weight=0.5) == base


def test_global_fusion_ignores_the_keypoints_and_refuses_messages():
    with pytest.raises(UserError, match="--graph layer"):
        load_config("paper", {"fusion": "global"})
    config = load_config("paper", {"fusion": "global", "graph": "layer", "temporal": "mean"})
    network = build(config.network, 7, 1, 0).eval()
    frames, keypoints = torch.randn(2, 1, 3, 32, 32), torch.rand(2, 1, 18, 2)
    assert torch.equal(network(seen(frames, keypoints)).clip, network(seen(frames, keypoints.flip(2))).clip)
