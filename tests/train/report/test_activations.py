"""What the report shows of a network, recomputed from the formulas."""

import numpy as np
import pytest
import torch
from networks import build

from dfer.schemas.keypoints import DLIB18, KeypointSet
from dfer.train.config import load_config
from dfer.train.data.caches import open_pool
from dfer.train.data.dataset import clip_dataset, in_batches, view_spec
from dfer.train.data.loader import Loader
from dfer.train.engine.forward import network_input, predict
from dfer.train.report.activations import input_clips, record_activations
from dfer.train.report.clip_cards import clip_card, tint_maps

CPU = torch.device("cpu")
SMALL = {"image_size": 32, "num_frames": 4, "batch_size": 4}


@pytest.fixture(scope="module")
def recorded(sample_cache):
    config, cache = load_config("quick", SMALL), open_pool(sample_cache)
    network = build(config.network, 6, 4, seed=0, keypoints=cache.keypoints).eval()
    loader = Loader(clip_dataset(cache, cache.clips, cache.labels, view_spec(config)), 0, CPU)
    return network, loader, config, record_activations(network, loader, range(6), config, CPU)


def test_the_features_are_the_input_of_the_classifier(recorded):
    network, loader, config, activations = recorded
    scores = network.clip_head(torch.from_numpy(activations.features)).softmax(1).detach().numpy()
    expected = predict(network, loader, in_batches(range(6), 4), config, CPU)
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_attention_and_keypoint_weights_follow_the_formulas(recorded):
    network, loader, config, activations = recorded
    (batch,) = loader.batches(in_batches(range(6), 6))
    given = network_input(batch, config.data)
    with torch.no_grad():
        features = network.attention(network.backbone(given.frames.flatten(0, 1)))
        local, overall = network.keypoint_features(features, given.keypoints.flatten(0, 1))
        weights = torch.relu(torch.einsum("bkc,cd,bd->bk", local, network.graph.relation, overall) / 512)
        fused = network.fuse(given.frames.flatten(0, 1), given.keypoints.flatten(0, 1)).unflatten(0, (6, 4))
        temporal = network.temporal
        x = torch.cat([temporal.token.expand(6, -1, -1), fused], 1) + temporal.positions
        for block, found in zip(temporal.blocks, activations.attention.transpose(1, 0, 2), strict=True):
            heads = block.attention.heads
            q, k, _ = block.attention.qkv(block.attention_norm(x)).chunk(3, 2)
            q, k = (part.unflatten(2, (heads, -1)) for part in (q, k))
            scores = torch.einsum("bhd,bthd->bht", q[:, 0], k) / q.shape[3] ** 0.5
            shares = scores.softmax(2)[:, :, 1:].mean(1)
            np.testing.assert_allclose(found, shares / shares.sum(1, keepdim=True), atol=1e-5)
            x = block(x)
    np.testing.assert_allclose(activations.keypoint_weights, weights.unflatten(0, (6, 4)), atol=1e-5)
    np.testing.assert_allclose(activations.attention.sum(2), 1, atol=1e-6)


def test_recording_leaves_no_hooks(recorded):
    network = recorded[0]
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_a_clip_is_shown_as_the_network_receives_it(recorded):
    network, loader, config, _ = recorded
    (shown,) = input_clips(loader, [2], network, config)
    (batch,) = loader.batches(in_batches([2], 1))
    stored = batch.frames[0].permute(0, 2, 3, 1).numpy()
    window = round(config.data.crop_fraction * stored.shape[1])
    edge = (stored.shape[1] - window) // 2
    centre = stored[:, edge : edge + window, edge : edge + window].mean((1, 2))
    np.testing.assert_allclose(shown.frames.mean((1, 2)), centre, atol=1.5)
    expected = (batch.keypoints[0].numpy() - edge + 0.5) * 32 / window - 0.5
    np.testing.assert_allclose(shown.keypoints, expected, atol=0.6)
    peaks = shown.maps.reshape(4, 18, -1).argmax(2)
    size = shown.maps.shape[2]
    np.testing.assert_array_equal(
        peaks % size, ((expected[..., 0] + 0.5) / 32 * size).astype(int).clip(0, size - 1)
    )


def test_maps_tint_the_frame_in_the_colour_of_their_region():
    maps = np.zeros((18, 4, 4))
    maps[10, 3, 0] = 1  # the corner of the mouth, bottom left
    tinted = tint_maps(np.zeros((64, 64, 3), np.uint8), maps, DLIB18)
    assert tuple(tinted[-1, 0]) == (153, 55, 83)  # 0.6 of its colour
    assert not tinted[:32].any() and not tinted[:, 32:].any()


def test_a_card_draws_the_keypoint_set_of_the_cache(recorded):
    network, loader, config, _ = recorded
    (shown,) = input_clips(loader, [0], network, config)
    three = KeypointSet(
        name="three",
        sources=((36,), (45,), (57,)),
        labels=("eye", "other eye", "mouth"),
        regions={"eyes": (0, 1), "mouth": (2,)},
        flip=(1, 0, 2),
        edges=((0, 1), (1, 2)),
    )
    of_three = type(shown)(frames=shown.frames, keypoints=shown.keypoints[:, :3], maps=shown.maps[:, :3])
    clip = {"clip_id": "x", "label": "a", "predicted": "b", "certainty": 0.5}
    card = clip_card(clip, of_three, three, None, None)
    assert card.count("<circle") == 3 and card.count("<line") == 2
