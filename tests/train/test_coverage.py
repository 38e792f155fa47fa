"""A network judged on a dataset whose labels are others, or are called otherwise."""

import json

import numpy as np
import polars as pl
import pytest
from synthetic_cache import SyntheticClip, write_cache

from schemas.errors import UserError
from train.coverage import cover
from train.weights import start_from_run


def table(*labels):
    return pl.DataFrame({"label": labels}, schema={"label": pl.String})


def test_synonyms_and_another_order_are_the_same_classes():
    found = cover(table("Happy", "ANG", None, "neutral"), ("anger", "neutral", "happiness"))
    assert found.clips["label"].to_list() == ["happiness", "anger", "neutral"]
    assert found.renamed == {"Happy": "happiness", "ANG": "anger"} and not found.not_covered


def test_classes_that_the_network_lacks_are_counted_and_none_in_common_is_one_line():
    found = cover(table("contempt", "sad", "contempt"), ("sadness", "fear"))
    assert found.not_covered == {"contempt": 2} and len(found.clips) == 3
    with pytest.raises(UserError, match="no class in common: the clips have calm, the network sadness, fear"):
        cover(table("calm"), ("sadness", "fear"))


@pytest.fixture(scope="module")
def foreign(sample_cache, tmp_path_factory):
    """The crops of the six clips again, labels in another spelling and order, and a class more."""
    import simplejpeg

    from schemas.cache import read_clips
    from schemas.face_shards import ShardReader

    names = {"anger": "Angry", "sadness": "SAD", "happiness": "joy", "fear": "contempt"}
    clips = []
    for row in read_clips(sample_cache).sort("label", descending=True).iter_rows(named=True):
        stored = ShardReader(sample_cache).read(row["shard"], row["row"], row["clip_id"])
        crops = np.stack([simplejpeg.decode_jpeg(jpeg) for jpeg in stored.crops[::8]])
        label = names.get(row["label"], row["label"])
        clips.append(SyntheticClip(label=label, crops=crops, keypoints=stored.keypoints[::8]))
    labels = ("SAD", "joy", "contempt", "neutral", "Angry", "disgust")
    return write_cache(tmp_path_factory.mktemp("foreign") / "cache", clips, labels, dataset="foreign")


def test_a_network_is_judged_on_what_it_covers_and_the_rest_is_said(cli, small_run, foreign, tmp_path):
    out = tmp_path / "p.parquet"
    outcome = cli("train", "evaluate", small_run, foreign, "--predictions", out, "--json")
    assert outcome.returncode == 0, outcome.stderr
    result = json.loads(outcome.stdout)
    assert result["renamed"] == {"Angry": "anger", "SAD": "sadness", "joy": "happiness"}
    assert result["not_covered"] == {"contempt": 1} and result["clips"] == 5
    assert result["recall"]["fear"] is None
    predictions = pl.read_parquet(out)
    assert len(predictions) == 6  # the sixth is predicted and not counted
    judged = predictions.filter(pl.col("label") != "contempt")
    assert result["war"] == pytest.approx((judged["label"] == judged["predicted"]).mean())
    printed = cli("train", "evaluate", small_run, foreign).stdout
    assert "not covered: 1 clips of classes that the network lacks" in printed and "Angry → anger" in printed


def test_a_dataset_without_a_class_in_common_is_one_line(cli, small_run, tmp_path):
    crops, keypoints = np.zeros((2, 128, 128, 3), np.uint8), np.full((2, 18, 2), 60.0)
    clips = [SyntheticClip(label=label, crops=crops, keypoints=keypoints) for label in ("ja", "nein")]
    outcome = cli("train", "evaluate", small_run, write_cache(tmp_path / "cache", clips))
    assert outcome.returncode == 1 and outcome.stderr.count("\n") == 1
    assert "no class in common: the clips have ja, nein, the network anger" in outcome.stderr


def test_init_from_takes_the_rows_of_classes_by_what_they_mean(small_run):
    from train import checkpoint
    from train.model.network import build

    kept = checkpoint.load(small_run / "best.pt")
    network = build(kept.config.network, 2, kept.config.data.num_frames, seed=5)
    loaded = start_from_run(network, ("Happy", "ANG"), small_run / "best.pt")
    assert loaded.classes == ("Happy", "ANG")
    rows = [kept.labels.index("happiness"), kept.labels.index("anger")]
    assert np.array_equal(network.clip_head.weight.detach(), kept.model["clip_head.weight"][rows])
