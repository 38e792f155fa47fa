"""`train sweep` and `train crossval` with several seeds and pre-trained weights, on made-up clips with two folds."""

import json
import shutil
from statistics import median

import numpy as np
import polars as pl
import pytest
from made_up import TINY, cache, clip, done, printed, refused, train
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from dfer.train.config import load_config
from dfer.train.engine import checkpoint
from dfer.train.results.bootstrap import estimate, paired_difference
from dfer.train.several.sweep_file import config_of, load_sweep

SETTINGS = TINY[2:]
SWEEP = """
title = "With and without weights"
base = "quick"
axis = "start"
[[variant]]
name = "weights"
set = {}
[[variant]]
name = "scratch"
from_scratch = true
set = {}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cache of 14 clips, weights trained on the first fold's training clips, and a sweep over two seeds."""
    folder = tmp_path_factory.mktemp("seeds")
    clips = [clip("abb"[seed % 3], seed, fold=seed % 2 + 1) for seed in range(14)]
    source = cache(folder, "faces", clips)
    done("run", source, "--out", folder / "pre", "--fold", 1, *TINY)
    (folder / "sweep.toml").write_text(SWEEP)
    return folder


def sweep_call(folder, *more):
    return (
        *("sweep", folder / "sweep.toml", folder / "faces", "--out", folder / "out", *SETTINGS),
        *("--folds", "official", "--seeds", "0,3", "--init-from", folder / "pre", *more),
    )


@pytest.fixture(scope="module")
def swept(folder):
    """What the sweep printed; then a seed of its second variant is given perfect predictions, so that they differ."""
    outcome = done(*sweep_call(folder))
    for path in (folder / "out" / "scratch" / "seed_0").glob("*/predictions.parquet"):
        pl.read_parquet(path).with_columns(predicted="label").write_parquet(path)
    done(*sweep_call(folder))
    return outcome


def tables(out):
    """The prediction table of each seed, read from the runs of the folds."""
    return [
        pl.concat(
            [pl.read_parquet(out / seed / fold / "predictions.parquet") for fold in ("fold_1", "fold_2")]
        )
        for seed in ("seed_0", "seed_3")
    ]


def test_a_sweeps_figures_are_pooled_over_folds_and_averaged_over_seeds(swept, folder):
    baseline, *rows = pl.read_csv(folder / "out" / "sweep.csv").rows(named=True)
    first = tables(folder / "out" / "weights")
    for row, name in zip(rows, ("weights", "scratch"), strict=True):
        assert (row["variant"], row["seeds"]) == (name, 2)
        of_seeds = tables(folder / "out" / name)
        pairs = [(table["label"].to_list(), table["predicted"].to_list()) for table in of_seeds]
        assert row["pooled_war"] == pytest.approx(np.mean([accuracy_score(*pair) for pair in pairs]))
        assert row["pooled_uar"] == pytest.approx(np.mean([balanced_accuracy_score(*pair) for pair in pairs]))
        intervals = estimate(of_seeds, ("a", "b")).intervals
        assert (row["pooled_uar_low"], row["pooled_uar_high"]) == pytest.approx(intervals.uar)
        settings = [
            load_config(str(folder / "out" / name / seed / "fold_2" / "settings.toml"))
            for seed in ("seed_0", "seed_3")
        ]
        assert [config.recipe.seed for config in settings] == [0, 3]
    none, found = rows
    assert baseline["variant"] == "baseline" and baseline["parameters"] is None
    assert baseline["war_difference"] == pytest.approx(baseline["pooled_war"] - none["pooled_war"])
    assert none["war_difference"] is None and none["uar_difference_excludes_zero"] is None
    expected = paired_difference(of_seeds, first, ("a", "b"))
    assert found["war_difference"] > 0
    assert found["war_difference"] == pytest.approx(found["pooled_war"] - none["pooled_war"])
    assert (found["war_difference_low"], found["war_difference_high"]) == pytest.approx(
        expected.intervals.war
    )
    assert found["uar_difference_excludes_zero"] == expected.excludes_zero("uar")
    assert (folder / "out" / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_a_sweeps_costs_are_those_of_its_networks_and_epochs(swept, folder):
    row = pl.read_csv(folder / "out" / "sweep.csv").rows(named=True)[2]
    runs = [
        folder / "out" / "scratch" / seed / fold
        for seed in ("seed_0", "seed_3")
        for fold in ("fold_1", "fold_2")
    ]
    speeds = [speed for run in runs for speed in pl.read_csv(run / "metrics.csv")["clips_per_second"]]
    assert row["clips_per_second"] == pytest.approx(median(speeds))
    network = checkpoint.restore(checkpoint.load(runs[0] / "last.pt"))
    assert row["parameters"] == sum(p.numel() for p in network.parameters())
    parts = printed("describe", *TINY[:-6], "--classes", 2)
    assert (row["parameters"], row["multiply_adds"]) == (parts[-1]["parameters"], parts[-1]["multiply_adds"])


def test_only_variants_that_are_not_from_scratch_start_from_the_weights(swept, folder):
    started = {path.relative_to(folder / "out").parts[0] for path in (folder / "out").rglob("weights.json")}
    assert started == {"weights"}


def test_what_applies_to_all_runs_is_said_once(swept, folder):
    lines = swept.stderr.splitlines()
    assert sum("was trained on" in line for line in lines) == 1
    assert f"warning: {folder}/pre/best.pt was trained on 7 of 14 clips, such as" in swept.stderr
    assert sum(line.startswith("weights from") for line in lines) == 1
    assert sum(line.startswith("epoch 1/1") for line in lines) == 8
    assert [line for line in lines if line.startswith("seed")] == ["seed 0", "seed 3"] * 2


def test_a_sweep_with_seeds_fits_80_columns_and_resumes_run_by_run(swept, folder, monkeypatch):
    shutil.rmtree(folder / "out" / "scratch" / "seed_3" / "fold_2")
    before = pl.read_csv(folder / "out" / "sweep.csv").drop("clips_per_second")
    again = done(*sweep_call(folder, "--json"))
    assert again.stderr.count("epoch 1/1") == 1
    assert json.loads(again.stdout)["drawn"] == "clips"
    assert pl.DataFrame(json.loads(again.stdout)["rows"]).drop("clips_per_second").shape == before.shape
    assert pl.read_csv(folder / "out" / "sweep.csv").drop("clips_per_second").equals(before)
    narrow = train(*sweep_call(folder), columns=80).stdout
    table = [line.rstrip() for line in narrow.splitlines() if line.startswith((" weights ", " scratch "))]
    assert len(table) == 3 and all(len(line) <= 80 for line in table)
    assert "test clips pooled, last epoch, mean of 2 seeds, % (95 % interval)" in narrow
    assert "minus weights, on the same clips, points (95 % interval)" in narrow


def test_a_variants_folder_is_a_cross_validation_with_seeds(swept, folder):
    out = folder / "out" / "weights"
    call = ("crossval", folder / "faces", "--out", out, "--folds", "official", "--seeds", "0,3")
    shown = done(*call, *TINY, "--init-from", folder / "pre")
    assert "epoch 1/1" not in shown.stderr and "2 folds, 2 seeds, %" in shown.stdout
    assert shown.stdout.count("to beat: landmark baseline") == 1
    result = printed(*call, *TINY, "--init-from", folder / "pre")
    found = estimate(tables(out), ("a", "b"))
    assert result["pooled"]["war"] == pytest.approx(found.war)
    assert f"WAR {100 * result['baseline']['war']:.2f} %" in shown.stdout
    assert result["pooled"]["intervals"]["uar"] == pytest.approx(found.intervals.uar)
    rows = pl.read_csv(out / "crossval.csv").rows(named=True)
    names = ("1", "2", "mean", "sd", "pooled")
    assert [(row["seed"], row["fold"]) for row in rows] == [
        *(("0", name) for name in names),
        *(("3", name) for name in names),
        *(("mean", name) for name in ("mean", "pooled")),
    ]
    assert rows[-1]["last_war"] == pytest.approx(found.war)
    assert rows[-2]["best_uar"] == pytest.approx((rows[2]["best_uar"] + rows[7]["best_uar"]) / 2)
    of_seed = pl.read_csv(out / "seed_3" / "crossval.csv")
    assert of_seed["last_war"].to_list() == [row["last_war"] for row in rows[5:10]]
    single = printed(*call[:3], out / "seed_3", *call[4:6], *TINY, "--seed", 3, "--init-from", folder / "pre")
    assert single["pooled"]["war"] == pytest.approx(rows[9]["last_war"])
    assert f"{out} contains several runs; give one of them, such as" in refused(
        "evaluate", out, folder / "faces"
    )


def test_without_weights_a_variant_that_is_only_from_scratch_is_left_out(folder, tmp_path):
    call = ("sweep", folder / "sweep.toml", folder / "faces", "--out", tmp_path / "out", *SETTINGS)
    shown = done(*call, "--fold", 1, "--seeds", 2)
    assert "variant scratch is left out: without --init-from all variants start from scratch" in shown.stderr
    assert (tmp_path / "out" / "weights" / "seed_2" / "run.json").exists()
    assert pl.read_csv(tmp_path / "out" / "sweep.csv")["variant"].to_list() == ["baseline", "weights"]
    taken = refused(*call[:4], tmp_path / "out" / "weights" / "seed_2", *SETTINGS, "--fold", 1, "--seeds", 2)
    assert "is a single run; choose another --out" in taken


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--seed", 1), "--seed cannot be combined with --seeds"),
        (("--holdout", 0.5), "--seeds cannot be combined with --holdout"),
        (("--seeds", "1,1"), "--seeds: give different numbers from 0 to"),
        (("--seeds", "-1"), "--seeds: give different numbers from 0 to"),
        (("--seeds", "x"), "is not a list of numbers"),
    ],
)
def test_seeds_that_make_no_sense_are_wrong_usage(folder, tmp_path, flags, message):
    call = ("sweep", folder / "sweep.toml", folder / "faces", "--out", tmp_path / "out", "--seeds", "0,1")
    outcome = train(*call, *flags)
    assert outcome.exit_code == 2 and message in outcome.stderr and not (tmp_path / "out").exists()


def settings(config):
    parts = {name: part for name, part in config.to_dict().items() if name != "model"}
    return {(section, name): value for section, part in parts.items() for name, value in part.items()}


def test_every_lever_is_one_change_of_strongs_network():
    sweep = load_sweep("levers")
    (network, _), *others = [(config_of(variant, {}), variant) for variant in sweep.variants]
    assert network == load_config("strong", {"landmark_weight": 0.0})
    (scratch,) = [v for config, v in others if config == network]
    assert scratch.from_scratch
    changed = {variant.name: config for config, variant in others if variant != scratch}
    assert changed.pop("strong") == load_config("strong")
    assert changed.pop("paper") == load_config("paper")
    for name, config in changed.items():
        differ = settings(config).items() - settings(network).items()
        assert len(differ) == (2 if name == "pixels" else 1), (name, differ)
