import polars as pl
import pytest
import torch
from networks import build, seen

from dfer.schemas.blendshapes import BLENDSHAPES, FLIP
from dfer.schemas.keypoints import DLIB18
from dfer.train.config import load_config
from dfer.train.data.augment import flip_expressions
from dfer.train.data.caches import open_pool
from dfer.train.data.dataset import clip_dataset, in_batches, view_spec
from dfer.train.data.loader import Loader
from dfer.train.models.keypoint.settings import KeypointSettings

SMILE = BLENDSHAPES.index("mouthSmileLeft")


@pytest.fixture(scope="module")
def scores(scored_cache):
    """(6, 4, 52) scores of the six clips, from the loader."""
    cache = open_pool(scored_cache)
    config = load_config("quick", {"num_frames": 4, "expression_scores": "on"})
    dataset = clip_dataset(cache, cache.clips, cache.labels, view_spec(config))
    (batch,) = Loader(dataset, 0, torch.device("cpu")).batches(in_batches(range(6), 6))
    return batch.expressions


def test_the_loader_returns_the_caches_scores(scores, scored_cache):
    table = pl.read_parquet(scored_cache / "landmarks" / "00000.parquet").sort("clip_id", "frame")
    expected = torch.tensor(table["blendshapes"].to_numpy()).view(6, 4, 52)
    torch.testing.assert_close(scores, expected, rtol=0, atol=0, equal_nan=True)
    labels = open_pool(scored_cache).clips["label"].to_list()
    assert scores[:, :, SMILE].mean(1).argmax() == labels.index("happiness")  # a real smile


def test_mirroring_swaps_the_scores_of_both_sides(scores):
    flips = torch.tensor([True, False] * 3)
    mirrored = flip_expressions(scores, flips)
    assert torch.equal(mirrored[1::2], scores[1::2])
    assert torch.equal(mirrored[::2], scores[::2][..., list(FLIP)])
    assert not torch.equal(mirrored[::2], scores[::2])


def test_scores_change_nothing_before_training_and_nothing_where_no_face_was_found(scores):
    config = KeypointSettings(expression_scores="on", stage_strides=(1, 2, 2, 2))
    network = build(config, classes=6, num_frames=4, seed=0, keypoints=DLIB18).eval()
    plain = build(
        KeypointSettings(stage_strides=(1, 2, 2, 2)), classes=6, num_frames=4, seed=0, keypoints=DLIB18
    ).eval()
    plain.load_state_dict(network.state_dict(), strict=False)
    frames, keypoints = torch.randn(6, 4, 3, 32, 32), torch.rand(6, 4, 18, 2)
    unseen = torch.full_like(scores, torch.nan)
    with torch.no_grad():
        expected = plain(seen(frames, keypoints)).clip
        assert torch.equal(network(seen(frames, keypoints, expressions=scores)).clip, expected)
        torch.nn.init.normal_(network.expressions.fc.weight)
        torch.nn.init.normal_(network.expressions.fc.bias)
        assert torch.equal(network(seen(frames, keypoints, expressions=unseen)).clip, expected)
        assert not torch.allclose(network(seen(frames, keypoints, expressions=scores)).clip, expected)


def test_gradients_are_finite_where_no_face_was_found(scores):
    network = build(
        KeypointSettings(expression_scores="on", stage_strides=(1, 2, 2, 2)),
        classes=6,
        num_frames=4,
        seed=0,
        keypoints=DLIB18,
    )
    scores = scores.clone()
    scores[0] = torch.nan
    network(
        seen(torch.randn(6, 4, 3, 32, 32), torch.rand(6, 4, 18, 2), expressions=scores)
    ).clip.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.expressions.parameters())
    assert network.expressions.fc.weight.grad.abs().sum() > 0


SMALL = ("--num-frames", 4, "--image-size", 32, "--stage-strides", "1,2,2,2", "--batch-size", 3)


def test_the_strong_preset_uses_scores_if_the_cache_has_them(here, scored_cache, sample_cache, tmp_path):
    run = tmp_path / "run"
    arguments = ("--out", run, "--preset", "strong", *SMALL, "--epochs", 1)
    outcome = here("train", "run", scored_cache, *arguments)
    assert outcome.returncode == 0, outcome.stderr
    assert 'expression_scores = "on"' in (run / "settings.toml").read_text()
    assert here("train", "run", scored_cache, *arguments).stdout.startswith("nothing to do")
    outcome = here("train", "evaluate", run, scored_cache)
    assert outcome.returncode == 0, outcome.stderr
    outcome = here("train", "evaluate", run, sample_cache)
    assert outcome.returncode == 1 and "no expression scores" in outcome.stderr
    assert len(outcome.stderr.strip().splitlines()) == 1
    without = tmp_path / "without"
    outcome = here("train", "run", sample_cache, "--out", without, *arguments[2:])
    assert outcome.returncode == 0, outcome.stderr
    assert 'expression_scores = "off"' in (without / "settings.toml").read_text()


def test_scores_missing_from_the_cache_are_a_one_line_error_and_leave_no_run(here, sample_cache, tmp_path):
    run = tmp_path / "run"
    outcome = here(
        "train", "run", sample_cache, "--out", run, "--preset", "quick", "--expression-scores", "on"
    )
    assert outcome.returncode == 1 and not run.exists()
    (line,) = outcome.stderr.strip().splitlines()
    assert str(sample_cache) in line and "--blendshapes" in line and "--expression-scores off" in line
