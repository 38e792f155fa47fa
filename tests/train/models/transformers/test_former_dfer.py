"""Shapes and count are those of the authors' public code, commit 1b5ad6f, compared parameter by parameter."""

import networks
import pytest
import torch

from dfer.train.models.transformers.former_dfer import FormerDfer

TRANSFORMER_BLOCK = ("attention_norm", "attention.qkv", "attention.out", "mlp_norm", "mlp.0", "mlp.2")


@pytest.fixture(scope="module")
def published():
    return networks.on_meta(FormerDfer, networks.task())


@pytest.fixture
def small():
    return networks.seeded(
        FormerDfer,
        networks.task(4, 32, 3),
        spatial_mlp_width=8,
        depth=1,
        heads=2,
        head_dim=8,
        mlp_width=8,
    )


def test_the_published_size_has_the_public_codes_parameters(published):
    assert networks.count(published) == 18_031_943  # printed: 18 M
    by_part = {
        "backbone.conv1": 9_408,
        "backbone.layer1": 147_968,
        "backbone.layer2": 525_568,
        "backbone.layer3": 2_099_712,
        "backbone.layer4": 8_393_728,
        "spatial": 526_336 + 12_544,
        "temporal": 6_303_744 + 512 + 8_704,
        "head": 3_591,
    }
    assert {name: networks.count(published.get_submodule(name)) for name in by_part} == by_part


def test_the_transformers_have_the_public_codes_shapes(published):
    found = {name: tuple(value.shape) for name, value in published.named_parameters()}
    assert found["spatial.positions"] == (1, 49, 256)
    assert found["temporal.token"] == (1, 1, 512)
    assert found["temporal.positions"] == (1, 17, 512)
    sizes = {"spatial.blocks": (1, 256, 256, 512), "temporal.blocks": (3, 512, 512, 1024)}
    for blocks, (depth, width, inner, hidden) in sizes.items():
        assert len(published.get_submodule(blocks)) == depth
        weights = [(width,), (3 * inner, width), (width, inner), (width,), (hidden, width), (width, hidden)]
        for number in range(depth):
            for name, shape in zip(TRANSFORMER_BLOCK, weights, strict=True):
                base = f"{blocks}.{number}.{name}"
                assert found[f"{base}.weight"] == shape
                assert found.get(f"{base}.bias") == (None if name == "attention.qkv" else shape[:1])


def test_stages_have_the_published_shapes(published):
    assert networks.shapes(
        published,
        networks.task(),
        "backbone.layer1",
        "backbone.layer2",
        "backbone.layer3",
        "spatial",
        "backbone.layer4",
        "temporal",
    ) == {
        "backbone.layer1": (32, 64, 28, 28),
        "backbone.layer2": (32, 128, 14, 14),
        "backbone.layer3": (32, 256, 7, 7),
        "spatial": (32, 256, 7, 7),
        "backbone.layer4": (32, 512, 4, 4),
        "temporal": (2, 512),
    }


@pytest.mark.parametrize(("num_frames", "image_size"), [(1, 16), (5, 100), (16, 224)])
def test_it_takes_any_number_of_frames_and_size(num_frames, image_size):
    task = networks.task(num_frames, image_size)
    found = networks.scores(networks.on_meta(FormerDfer, task), networks.clips(task, device="meta"))
    assert found.shape == (2, task.classes)


def test_the_order_of_the_frames_matters(small):
    given = networks.clips(networks.task(4, 32, 3))
    with torch.no_grad():
        forward, backward = (
            small.eval()(given._replace(frames=frames)).clip
            for frames in (given.frames, given.frames.flip(1))
        )
    assert (forward - backward).abs().max() > 1e-3


def test_a_place_sees_the_others_through_the_spatial_transformer(small):
    x = torch.zeros(1, 256, 2, 2, requires_grad=True)
    small.spatial(x)[0, :, 0, 0].sum().backward()
    assert x.grad[0, :, 1, 1].abs().max() > 0


def test_gradients_reach_every_parameter(small):
    assert networks.without_gradient(small, networks.clips(networks.task(4, 32, 3))) == []
