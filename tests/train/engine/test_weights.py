import json

import polars as pl
import pytest
import torch
from networks import build, seen

from dfer.schemas.keypoints import DLIB18
from dfer.schemas.support.errors import UserError
from dfer.train.config import load_config
from dfer.train.engine import checkpoint
from dfer.train.engine.weights import Start, start_from_backbone, start_from_run
from dfer.train.models.keypoint.settings import KeypointSettings
from dfer.train.models.resnet import ResNet18

SMALL = KeypointSettings(stage_strides=(1, 2, 2, 2), depth=1)
OLD = ("Happy", "Sad", "Neutral")


def network(classes=3, seed=1, config=SMALL, frames=2):
    return build(config, classes=classes, num_frames=frames, seed=seed, keypoints=DLIB18)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A checkpoint of another network, of the classes OLD."""
    path = tmp_path_factory.mktemp("trained") / "best.pt"
    config = load_config("quick", {"stage_strides": (1, 2, 2, 2), "depth": 1, "num_frames": 2})
    kept = checkpoint.Checkpoint(
        config=config,
        keypoint_set="dlib18",
        labels=OLD,
        majority="Sad",
        epoch=1,
        consumed=0,
        model=network(seed=7).state_dict(),
        state={},
    )
    checkpoint.save(path, kept)
    return path


@pytest.fixture(scope="module")
def resnet18():
    """A state dict as torchvision's resnet18 has it, classifier included."""
    torch.manual_seed(3)
    state = ResNet18().state_dict()
    assert len(state) == 120  # torchvision's 122 without fc
    return {**state, "fc.weight": torch.randn(1000, 512), "fc.bias": torch.randn(1000)}


def scores(net):
    frames, keypoints = (
        torch.linspace(-2, 2, 4 * 2 * 3 * 32 * 32).view(4, 2, 3, 32, 32),
        torch.full((4, 2, 18, 2), 0.4),
    )
    with torch.no_grad():
        return net.eval()(seen(frames, keypoints)).clip


def test_classes_in_another_order_get_the_same_scores(trained):
    new = network(seed=2)
    loaded = start_from_run(new, ("Neutral", "Happy", "Sad"), trained)
    torch.testing.assert_close(scores(new), scores(network(seed=7))[:, [2, 0, 1]])
    assert not loaded.skipped and not loaded.missing and len(loaded.classes) == 3
    assert loaded.complete == loaded.loaded
    assert loaded.num_params == sum(value.numel() for value in new.state_dict().values())


def test_shared_classes_keep_their_rows_and_others_are_initialised(trained):
    new, fresh, old = network(4, seed=2), network(4, seed=2), network(seed=7)
    loaded = start_from_run(new, ("Sad", "Contempt", "Happy", "Anxiety"), trained)
    assert loaded.classes == ("Sad", "Happy") and not loaded.missing
    heads = {f"{head}.{kind}" for head in ("clip_head", "frame_head") for kind in ("weight", "bias")}
    assert {*loaded.loaded} - {*loaded.complete} == heads  # other rows of them are as initialised
    for name in ("clip_head.weight", "frame_head.bias"):
        ours = new.state_dict()[name]
        assert torch.equal(ours[[0, 2]], old.state_dict()[name][[1, 0]])
        assert torch.equal(ours[[1, 3]], fresh.state_dict()[name][[1, 3]])


def test_without_a_class_in_common_the_classifiers_are_initialised_and_reported(trained):
    new = network(2, seed=2)
    loaded = start_from_run(new, ("ja", "nein"), trained)
    heads = {f"{head}.{kind}" for head in ("clip_head", "frame_head") for kind in ("weight", "bias")}
    assert set(loaded.missing) == heads
    assert loaded.skipped == dict.fromkeys(heads, "no class in common")
    assert torch.equal(new.backbone.conv1.weight, network(seed=7).backbone.conv1.weight)


def test_weights_that_fit_are_taken_for_another_number_of_frames_or_blocks(trained):
    deeper = build(
        KeypointSettings(stage_strides=(1, 2, 2, 2), depth=2),
        classes=3,
        num_frames=5,
        seed=2,
        keypoints=DLIB18,
    )
    loaded = start_from_run(deeper, OLD, trained)
    assert loaded.skipped == {"temporal.positions": "positions for clips of 2 frames, the network takes 5"}
    assert "temporal.positions" in loaded.missing
    assert {name.split(".")[2] for name in loaded.missing if "blocks" in name} == {"1"}


@pytest.mark.parametrize("kind", ["torchvision", "wrapped", "safetensors", "half", "no counters"])
def test_a_resnet18_is_read_from_every_usual_file(resnet18, kind, tmp_path):
    path = tmp_path / ("model.safetensors" if kind == "safetensors" else "model.pth")
    if kind == "safetensors":
        from safetensors.torch import save_file

        save_file(resnet18, path)
    elif kind == "wrapped":
        torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in resnet18.items()}}, path)
    elif kind == "half":
        torch.save({k: v.half() if v.is_floating_point() else v for k, v in resnet18.items()}, path)
    elif kind == "no counters":
        torch.save({k: v for k, v in resnet18.items() if "num_batches" not in k}, path)
    else:
        torch.save(resnet18, path)
    net = network()
    loaded = start_from_backbone(net, path)
    assert len(loaded.loaded) == (100 if kind == "no counters" else 120)
    assert loaded.skipped.keys() == {"fc.weight", "fc.bias"}
    for name, value in net.backbone.state_dict().items():
        torch.testing.assert_close(value.float(), resnet18[name].float(), rtol=1e-3, atol=1e-4)
    assert {n.split(".")[0] for n in loaded.missing} >= {"attention", "graph", "temporal", "clip_head"}


def test_anything_but_a_resnet18_is_refused_in_one_line(resnet18, tmp_path, trained):
    other = dict(resnet18)
    other["layer2.0.conv1.weight"] = torch.zeros(128, 64, 1, 1)  # as ResNet-50 has it
    infinite = {**resnet18, "conv1.weight": torch.full((64, 3, 7, 7), torch.inf)}
    wrong = {
        "first layer2.0.conv1.weight": other,
        "no named weights": [1, 2],
        "save the network's state_dict": torch.nn.Linear(2, 2),
        "contains NaN or Inf": infinite,
    }
    for message, content in wrong.items():
        path = tmp_path / "wrong.pth"
        torch.save(content, path)
        with pytest.raises(UserError, match=message):
            start_from_backbone(network(), path)
    for change in (
        lambda weight: weight.to(torch.complex64),
        lambda weight: (100 * weight).to(torch.int8),
        lambda weight: weight > 0,
    ):
        torch.save({**resnet18, "conv1.weight": change(resnet18["conv1.weight"])}, tmp_path / "odd.pth")
        with pytest.raises(UserError, match=r"1 of 120 weights do not fit, first conv1.weight"):
            start_from_backbone(network(), tmp_path / "odd.pth")
    (tmp_path / "text.safetensors").write_text("not weights")
    with pytest.raises(UserError, match="not a safetensors file"):
        start_from_backbone(network(), tmp_path / "text.safetensors")
    with pytest.raises(UserError, match="this is a checkpoint of `train run`; give it with --init-from"):
        start_from_backbone(network(), trained)
    for flag in ("init_from", "backbone"):
        with pytest.raises(UserError, match="No such file"):
            Start(**{flag: tmp_path / "none.pth"}).hashes()
    with pytest.raises(UserError, match="give one of them"):
        Start(init_from=trained, backbone=trained)


def test_a_run_starts_from_the_weights_of_another_run_with_other_classes(
    here, small, small_run, sample_cache, tmp_path
):
    from dfer.train.data.caches import open_pool

    cache = tmp_path / "cache"
    cache.symlink_to(sample_cache)
    out = tmp_path / "run"
    arguments = ("--out", out, *small, "--epochs", 1, "--learning-rate", 0, "--init-from", small_run)
    outcome = here("train", "run", cache, *arguments)
    assert outcome.returncode == 0, outcome.stderr
    assert f"weights from {small_run}/best.pt\n" in outcome.stderr and "missing" in outcome.stderr
    record = json.loads((out / "weights.json").read_text())
    assert record["classes"] == list(open_pool(cache).labels) and record["missing"] == []
    before, after = (
        checkpoint.load(run / name).model for run, name in ((small_run, "best.pt"), (out, "last.pt"))
    )
    assert all(
        torch.equal(before[name], after[name])
        for name in before
        if "running" not in name and "batches" not in name
    )
    # The initial weights are part of what the run is.
    other = here("train", "run", cache, *arguments[:-2])
    assert other.returncode == 1 and "(made with other initial weights)" in other.stderr
    assert len(pl.read_csv(out / "metrics.csv")) == 1


def test_the_moving_average_starts_from_the_given_backbone_too(here, small, sample_cache, resnet18, tmp_path):
    torch.save(resnet18, tmp_path / "resnet18.pth")
    out = tmp_path / "run"
    extra = ("--backbone", tmp_path / "resnet18.pth", "--ema-decay", 0.9, "--learning-rate", 0, "--epochs", 1)
    outcome = here("train", "run", sample_cache, "--out", out, *small, *extra)
    assert outcome.returncode == 0, outcome.stderr
    assert "fc.weight: the network has no such weight" in outcome.stderr
    kept = checkpoint.load(out / "last.pt")
    for weights in (kept.model, kept.state["weights"]):
        torch.testing.assert_close(
            weights["backbone.layer4.1.conv2.weight"], resnet18["layer4.1.conv2.weight"]
        )
