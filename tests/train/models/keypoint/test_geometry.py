"""The geometry branch, the regression inside the network, and frames without a face."""

import math

import numpy as np
import polars as pl
import pytest
import torch
from networks import build

from dfer.schemas.keypoints import DLIB18, LANDMARK_FLIP
from dfer.schemas.support.errors import UserError
from dfer.train.config import load_config
from dfer.train.data.augment import flip_expressions, flip_landmarks
from dfer.train.data.caches import open_pool
from dfer.train.data.dataset import Batch, clip_dataset, in_batches, view_spec
from dfer.train.data.landmark_features import LandmarkFeatures, clip_features
from dfer.train.data.loader import Loader
from dfer.train.engine.fit_landmarks import fit_landmarks
from dfer.train.engine.forward import network_input
from dfer.train.models.interface import NetworkInput
from dfer.train.models.keypoint.geometry import FaceFeatures
from dfer.train.models.keypoint.network import KeypointNetwork
from dfer.train.models.keypoint.settings import KeypointSettings
from dfer.train.models.keypoint.temporal import TemporalTransformer, masked_mean

TINY = {"num_frames": 4, "image_size": 32, "stage_strides": (1, 2, 2, 2), "expression_scores": "on"}
SEEN = torch.tensor([[True, False, True, True], [False, False, False, True], [True] * 4])


def tiny(**settings) -> KeypointNetwork:
    config = load_config("quick", {**TINY, **settings})
    return build(config.network, classes=6, num_frames=4, seed=0, keypoints=DLIB18).eval()


@pytest.fixture(scope="module")
def batch(scored_cache) -> Batch:
    """The six sample clips, four frames each."""
    pool = open_pool(scored_cache)
    config = load_config("quick", {**TINY, "geometry": "on"})
    dataset = clip_dataset(pool, pool.clips, pool.labels, view_spec(config))
    (loaded,) = Loader(dataset, 0, torch.device("cpu")).batches(in_batches(range(6), 6))
    return loaded


def given(batch: Batch, **changes) -> dict[str, torch.Tensor]:
    """What a tiny network gets of a batch."""
    return network_input(batch._replace(**changes), load_config("quick", TINY).data)._asdict()


def test_mirrored_landmarks_of_real_faces_lie_on_the_other_sides_landmarks(batch):
    side = batch.frames.shape[-1]
    mirrored = flip_landmarks(batch.landmarks, torch.ones(6, dtype=torch.bool), side)
    distance = (mirrored - batch.landmarks).norm(dim=-1).mean()
    unswapped = batch.landmarks.clone()
    unswapped[..., 0] = side - 1 - unswapped[..., 0]
    assert distance < 0.06 * side < 0.2 * side < (unswapped - batch.landmarks).norm(dim=-1).mean()
    again = flip_landmarks(mirrored, torch.ones(6, dtype=torch.bool), side)
    torch.testing.assert_close(again, batch.landmarks)
    # The 18 key-points of a mirrored crop are those of its mirrored landmarks.
    selected = DLIB18.select(np.arange(68)[:, None] * np.ones(2))[:, 0]
    singles = [k for k, sources in enumerate(DLIB18.sources) if len(sources) == 1]
    assert all(LANDMARK_FLIP[int(selected[k])] == selected[DLIB18.flip[k]] for k in singles)


def test_only_clips_to_mirror_are_mirrored(batch):
    flips = torch.tensor([True, False] * 3)
    taken = given(batch, flips=flips)
    side = batch.frames.shape[-1]
    for clip in range(6):
        points, scores = batch.landmarks[clip : clip + 1], batch.expressions[clip : clip + 1]
        mirror = flips[clip : clip + 1]
        torch.testing.assert_close(
            taken["landmarks"][clip], flip_landmarks(points, mirror, side)[0] / side, rtol=0, atol=0
        )
        assert torch.equal(taken["expressions"][clip], flip_expressions(scores, mirror)[0])
    assert torch.equal(taken["landmarks"][1], batch.landmarks[1] / side)
    assert not torch.equal(taken["landmarks"][0], batch.landmarks[0] / side)


def test_features_equal_a_plain_loop(batch):
    module = FaceFeatures(expressions=True)
    random = np.random.default_rng(0)
    module.mean.copy_(torch.tensor(random.normal(size=188)))
    module.deviation.copy_(torch.tensor(random.uniform(0.5, 2, 188)))
    points = batch.landmarks[:3] / 128
    scores = batch.expressions[:3].clone()
    scores[2, 1] = torch.nan
    scores[0, 0, :2] = torch.tensor([0.0, 1.0])
    features = module(points, scores, SEEN)
    for clip in range(3):
        for frame in range(4):
            raw = points[clip, frame].flatten().tolist()
            for score in reversed(scores[clip, frame].tolist()):
                clipped = min(max(score, 0.001), 0.999)
                raw.insert(0, math.log(clipped / (1 - clipped)) if score == score else math.nan)
            moments = zip(raw, module.mean.tolist(), module.deviation.tolist(), strict=True)
            expected = [(value - mean) / deviation for value, mean, deviation in moments]
            known = [value if SEEN[clip, frame] and value == value else 0.0 for value in expected]
            np.testing.assert_allclose(features[clip, frame].numpy(), known, rtol=2e-4, atol=2e-4)
    assert features[2, 1, :52].abs().sum() == 0 < features[2, 1, 52:].abs().sum()


def test_the_branch_changes_nothing_before_training_and_ignores_frames_without_a_face(batch):
    taken = given(batch)
    network, plain = tiny(geometry="on"), tiny(expression_scores="off")
    plain.load_state_dict(network.state_dict(), strict=False)
    with torch.no_grad():
        expected = plain(NetworkInput(**taken)).clip
        assert torch.equal(network(NetworkInput(**taken)).clip, expected)
        torch.nn.init.normal_(network.geometry.fc.weight)
        torch.nn.init.normal_(network.geometry.head.weight)
        assert not torch.allclose(network(NetworkInput(**taken)).clip, expected)
        nowhere = {**taken, "detected": torch.zeros(6, 4, dtype=torch.bool)}
        assert torch.equal(network(NetworkInput(**nowhere)).clip, expected)
        # What is in a frame without a face does not matter, whatever it is.
        seen = taken["detected"].clone()
        seen[:, 2] = False
        noise = {name: taken[name].clone() for name in ("landmarks", "expressions")}
        noise["landmarks"][:, 2], noise["expressions"][:, 2] = 1e6, torch.nan
        torch.testing.assert_close(
            network(NetworkInput(**{**taken, "detected": seen, **noise})).clip,
            network(NetworkInput(**{**taken, "detected": seen})).clip,
        )


def test_gradients_are_finite_where_no_face_was_found(batch):
    taken = given(batch)
    taken["expressions"] = taken["expressions"].clone()
    taken["expressions"][0] = torch.nan
    network = tiny(geometry="on").train()
    network(NetworkInput(**{**taken, "mix": 0.7})).clip.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.geometry.parameters())
    assert network.geometry.fc.weight.grad.abs().sum() > 0


def test_mixup_mixes_the_class_scores_of_the_branch(batch):
    taken = given(batch)
    network = tiny(geometry="on", temporal="mean", landmark_weight=0.0)
    torch.nn.init.normal_(network.geometry.head.weight, std=0.1)
    with torch.no_grad():
        apart = network(NetworkInput(**taken)).clip
        torch.testing.assert_close(
            network(NetworkInput(**{**taken, "mix": 0.7})).clip,
            0.7 * apart + 0.3 * apart.roll(1, 0),
            rtol=1e-3,
            atol=1e-3,
        )


def test_the_regressions_share_of_the_log_probabilities(scored_cache, batch):
    from sklearn.linear_model import LogisticRegression

    pool = open_pool(scored_cache)
    features = clip_features(pool, pool.clips)
    spread = features.std(0)
    standard = (features - features.mean(0)) / np.where(spread > 1e-6, spread, 1)
    numbers = [pool.labels.index(label) for label in pool.clips["label"]]
    theirs = LogisticRegression(C=0.1, max_iter=1000).fit(standard, numbers).predict_log_proba(standard)
    taken, alone = given(batch), tiny()
    with torch.no_grad():
        own = alone(NetworkInput(**taken)).clip.log_softmax(1)
        for share in (0.25, 1.0):
            network = tiny(landmark_weight=share)
            network.load_state_dict(alone.state_dict(), strict=False)
            config = load_config("quick", {**TINY, "landmark_weight": share})
            fit_landmarks(network, config, LandmarkFeatures(pool, pool.clips), pool.clips)
            expected = (1 - share) * own + share * torch.tensor(theirs, dtype=torch.float32)
            torch.testing.assert_close(network(NetworkInput(**taken)).clip, expected, rtol=1e-3, atol=2e-3)
            network.train()  # the loss is the network's own: the regression knows the training clips by heart
            assert network(NetworkInput(**taken)).clip.exp().sum(1).sub(1).abs().max() > 1e-3


def test_with_a_share_of_one_a_run_predicts_what_the_baseline_does(here, scored_cache, tmp_path):
    run = tmp_path / "run"
    settings = (
        "--stage-strides",
        "1,2,2,2",
        "--image-size",
        32,
        "--num-frames",
        4,
        "--expression-scores",
        "on",
    )
    outcome = here(
        *("train", "run", scored_cache, "--out", run, "--preset", "quick", "--epochs", 1),
        *(*settings, "--landmark-weight", 1),
    )
    assert outcome.returncode == 0, outcome.stderr
    pool = open_pool(scored_cache)
    found = pl.read_parquet(run / "predictions.parquet")
    assert found["predicted"].to_list() == pool.clips["label"].to_list()  # it is tested on its training clips


def test_masked_attention_equals_attention_to_the_seen_frames_alone():
    torch.manual_seed(0)
    temporal = TemporalTransformer(width=32, frames=4, depth=2, heads=2, head_dim=16, mlp_width=48)
    x = torch.randn(3, 4, 32)
    with torch.no_grad():
        found = temporal(x, SEEN)
        for clip in range(3):
            kept = SEEN[clip]
            tokens = torch.cat([temporal.token, x[clip : clip + 1]], 1) + temporal.positions
            tokens = tokens[:, torch.cat([torch.tensor([True]), kept])]
            for block in temporal.blocks:
                tokens = block(tokens)
            torch.testing.assert_close(found[clip], tokens[0, 0])
        assert not torch.allclose(found[0], temporal(x)[0])
        assert torch.isfinite(temporal(x, torch.zeros_like(SEEN))).all()


def test_the_mean_over_seen_frames_equals_a_plain_loop():
    x = torch.randn(3, 4, 5)
    means = masked_mean(x, SEEN)
    for clip in range(3):
        frames = [x[clip, frame] for frame in range(4) if SEEN[clip, frame]]
        torch.testing.assert_close(means[clip], sum(frames) / len(frames))
    assert torch.equal(masked_mean(x, torch.zeros_like(SEEN)), torch.zeros(3, 5))


def test_a_masked_network_does_not_see_frames_without_a_face(batch):
    taken = given(batch)
    seen = taken["detected"].clone()
    seen[:, 1] = False
    other = {**taken, "frames": taken["frames"].clone(), "detected": seen}
    other["frames"][:, 1] = torch.randn_like(other["frames"][:, 1])
    with torch.no_grad():
        for settings in ({}, {"temporal": "mean"}):
            masked = tiny(mask_missing=True, expression_scores="off", **settings)
            torch.testing.assert_close(
                masked(NetworkInput(**other)).clip, masked(NetworkInput(**{**taken, "detected": seen})).clip
            )
            unmasked = tiny(expression_scores="off", **settings)
            assert not torch.allclose(
                unmasked(NetworkInput(**other)).clip, unmasked(NetworkInput(**taken)).clip
            )


def test_an_lstm_cannot_be_masked():
    with pytest.raises(UserError, match="--mask-missing needs --temporal transformer or mean"):
        KeypointSettings(temporal="lstm", mask_missing=True)
