import dataclasses

import pytest
import torch
from networks import build, seen

from dfer.schemas.keypoints import DLIB18
from dfer.train.commands.describe import network_parts
from dfer.train.config import load_config
from dfer.train.models.keypoint.settings import KeypointSettings


def test_the_paper_preset_has_17_0_million_parameters_and_37_0_giga_multiply_adds():
    total = network_parts(load_config("paper"), classes=7)[-1]
    assert abs(total.parameters / 1e6 - 17.0) <= 0.1
    assert abs(total.multiply_adds / 37.0e9 - 1) <= 0.01


@pytest.mark.parametrize(("strides", "giga"), [((1, 2, 1, 2), 17.2), ((1, 2, 2, 2), 7.9)])
def test_smaller_maps_need_fewer_multiply_adds(strides, giga):
    config = load_config("paper", {"stage_strides": strides})
    assert abs(network_parts(config, classes=7)[-1].multiply_adds / (giga * 1e9) - 1) <= 0.01


@pytest.mark.parametrize("preset", ["paper", "strong", "pretrain", "quick"])
@pytest.mark.parametrize("scores", [False, True])
def test_every_preset_is_described_with_and_without_expression_scores(preset, scores):
    *parts, total = network_parts(load_config(preset).settled(scores=scores), classes=7)
    assert sum(part.parameters for part in parts) == total.parameters


def test_the_listed_parts_add_up_to_the_network():
    *parts, total = network_parts(load_config("paper"), classes=7)
    assert sum(part.parameters for part in parts) == total.parameters
    assert sum(part.multiply_adds for part in parts) == total.multiply_adds
    shapes = {part.name: part.shape for part in parts}
    assert shapes["attention"] == "16×512×14×14"
    assert shapes["keypoint_features"] == "16×18×512, 16×512"
    assert shapes["fusion"] == "16×512"
    assert shapes["clip_head"] == "1×7"


@pytest.mark.parametrize("overrides", [{"temporal": "lstm"}, {"temporal": "mean"}, {"fusion": "lstm"}])
def test_the_listed_parts_add_up_for_ablations_too(overrides):
    *parts, total = network_parts(load_config("paper", overrides), classes=7)
    assert sum(part.parameters for part in parts) == total.parameters


@pytest.mark.parametrize("temporal", ["transformer", "lstm", "mean"])
@pytest.mark.parametrize("fusion", ["structure", "mean", "lstm"])
def test_every_combination_of_parts_trains_all_its_parameters(temporal, fusion):
    config = KeypointSettings(temporal=temporal, fusion=fusion, stage_strides=(1, 2, 2, 2), heads=6, depth=2)
    network = build(config, classes=7, num_frames=3, seed=1, keypoints=DLIB18)
    scores = network(seen(torch.randn(2, 3, 3, 48, 48), torch.rand(2, 3, 18, 2)))
    assert scores.clip.shape == (2, 7) and (not scores.auxiliary) == (temporal == "mean")
    sum(part.logsumexp(1).sum() for part in (scores.clip, *scores.auxiliary.values())).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("settings", [{}, {"graph": "none"}, {"graph": "none", "fusion": "global"}])
def test_every_part_takes_a_narrower_map(settings):
    config = KeypointSettings(
        stage_strides=(1, 2, 2, 2), stage_widths=(8, 16, 24, 40), heads=6, depth=1, geometry="on", **settings
    )
    network = build(config, classes=7, num_frames=3, seed=1, keypoints=DLIB18)
    assert network.backbone.outputs == 40
    given = seen(torch.randn(2, 3, 3, 48, 48), torch.rand(2, 3, 18, 2))
    assert network(given._replace(landmarks=torch.rand(2, 3, 68, 2))).clip.shape == (2, 7)


def test_initial_weights_depend_on_the_seed_only():
    small = KeypointSettings(stage_strides=(1, 2, 2, 2), depth=1)
    states = []
    for seed, noise in ((3, 0), (3, 99), (4, 0)):
        torch.manual_seed(noise)
        states.append(build(small, 7, 3, seed, DLIB18).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["temporal.token"], states[2]["temporal.token"])


def test_frames_do_not_mix_before_the_temporal_part():
    network = build(KeypointSettings(stage_strides=(1, 2, 2, 2)), 7, 4, 0, DLIB18).eval()
    images, keypoints = torch.randn(4, 3, 48, 48), torch.rand(4, 18, 2)
    alone = torch.cat([network.fuse(images[i : i + 1], keypoints[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(network.fuse(images, keypoints), alone, rtol=1e-4, atol=1e-5)


def test_settings_survive_a_round_trip_through_toml(tmp_path):
    config = load_config("paper", {"heads": 6, "fusion": "lstm"})
    (tmp_path / "copy.toml").write_text(config.to_toml())
    assert load_config(str(tmp_path / "copy.toml")) == config
    assert dataclasses.asdict(config.network)["heads"] == 6


def test_mixup_blends_the_frame_vectors_of_a_clip_and_the_previous_one():
    network = build(KeypointSettings(stage_strides=(1, 2, 2, 2), depth=1), 7, 2, 0, DLIB18).eval()
    frames, keypoints = torch.randn(3, 2, 3, 48, 48), torch.rand(3, 2, 18, 2)
    fused = network.fuse(frames.flatten(0, 1), keypoints.flatten(0, 1)).unflatten(0, (3, 2))
    mixed = 0.7 * fused + 0.3 * fused[[2, 0, 1]]
    torch.testing.assert_close(
        network(seen(frames, keypoints, mix=0.7)).clip, network.clip_head(network.temporal(mixed))
    )
