"""Compare the folders of two training runs: weights bit for bit, and all figures that are not times."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import torch

from dfer.train.engine import checkpoint

TIMED = ("seconds", "clips_per_second", "waiting")


def assert_same_run(found: Path, expected: Path) -> None:
    for name in ("last.pt", "best.pt"):
        one, other = checkpoint.load(found / name), checkpoint.load(expected / name)
        assert_equal(one.model, other.model)
    assert not one.state  # best.pt is only to predict with
    one, other = (checkpoint.load(folder / "last.pt").state for folder in (found, expected))
    assert_equal(one.get("weights", {}), other.get("weights", {}))  # next to a moving average
    assert_equal(one["optimiser"]["state"], other["optimiser"]["state"])
    assert one["scaler"] == other["scaler"] and one.get("averaged") == other.get("averaged")
    for name in ("predictions.parquet", "predictions_best.parquet"):
        assert pl.read_parquet(found / name, glob=False).equals(pl.read_parquet(expected / name))
    rows = [pl.read_csv(out / "metrics.csv", glob=False).drop(TIMED) for out in (found, expected)]
    assert rows[0].equals(rows[1])
    assert {path.name for path in found.iterdir()} == {path.name for path in expected.iterdir()}


def assert_equal(one: Mapping, other: Mapping) -> None:
    """Compare nested mappings of tensors bit for bit."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, dict):
            assert_equal(value, other[name])
        else:
            assert torch.equal(value, other[name]), name
