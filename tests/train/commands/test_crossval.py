"""Cross-validation and sweeps through the command line, on the six clips with made-up subjects and folds."""

import json
import shutil
import signal
import subprocess
import time

import made_up
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

SIZE = ("--epochs", 1, "--image-size", 32, "--num-frames", 2, "--stage-strides", "1,2,2,2", "--depth", 1)


@pytest.fixture(scope="module")
def cache(sample_cache, tmp_path_factory):
    """The six clips with three subjects, in two folds and two scenes, one of them without a face."""
    copy = shutil.copytree(sample_cache, tmp_path_factory.mktemp("crossval") / "cache")
    clips = pl.read_parquet(copy / "clips.parquet").with_columns(
        subject=pl.Series(["x", "x", "y", "y", "z", "z"]),
        scene=pl.Series(["indoors", "outdoors"] * 3),
        fold=pl.Series([1, 1, 1, 2, 2, 2], dtype=pl.Int32),
        label=pl.Series(["a", "b"] * 3),
        status=pl.Series(["ok", "ok", "ok", "ok", "ok", "no_face"]),
    )
    clips.with_columns(row=pl.when(pl.col("status") == "ok").then("row")).write_parquet(
        copy / "clips.parquet"
    )
    info = json.loads((copy / "cache.json").read_text())
    (copy / "cache.json").write_text(json.dumps({**info, "labels": ["a", "b"]}))
    return copy


@pytest.fixture(scope="module")
def crossval(here, cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("crossval") / "out"
    outcome = here(
        "train", "crossval", cache, "--out", out, "--folds", "subject:3", "--preset", "quick", *SIZE
    )
    assert outcome.returncode == 0, outcome.stderr
    return out, outcome


def test_every_clip_is_judged_once_by_a_network_that_never_saw_its_subject(crossval, cache):
    out, _ = crossval
    pooled = pl.read_parquet(out / "predictions.parquet")
    assert sorted(pooled["clip_id"]) == sorted(pl.read_parquet(cache / "clips.parquet")["clip_id"])
    assert pooled.group_by("subject").agg(pl.col("fold").n_unique())["fold"].to_list() == [1, 1, 1]
    for fold in (1, 2, 3):
        own = pl.read_parquet(out / f"fold_{fold}" / "predictions.parquet")
        assert own.equals(pooled.filter(fold=fold).drop("fold"))


def test_the_table_holds_sklearns_figures_of_each_fold_their_mean_and_the_pooled_ones(crossval):
    out, outcome = crossval
    pooled = pl.read_parquet(out / "predictions.parquet")
    table = pl.read_csv(out / "crossval.csv")
    assert table["fold"].to_list() == ["1", "2", "3", "mean", "sd", "pooled"]
    war = [
        accuracy_score(p["label"], p["predicted"]) for p in pooled.partition_by("fold", maintain_order=True)
    ]
    assert table["last_war"].to_list()[:3] == pytest.approx(war)
    assert table["last_war"][3] == pytest.approx(sum(war) / 3)
    assert table["last_war"][5] == pytest.approx(accuracy_score(pooled["label"], pooled["predicted"]))
    uar = balanced_accuracy_score(pooled["label"], pooled["predicted"])
    assert table["last_uar"][5] == pytest.approx(uar)
    usable = pooled.filter("usable")
    expected = accuracy_score(usable["label"], usable["predicted"])
    assert table["last_war_usable"][5] == pytest.approx(expected) and len(usable) == 5
    assert (out / "confusion.png").read_bytes().startswith(b"\x89PNG")
    rows = {line.split("│")[1].strip() for line in outcome.stdout.splitlines() if line.startswith("│")}
    assert {"1", "2", "3", "mean", "sd", "pooled"} <= rows and "best" in outcome.stdout


def test_a_cross_validation_goes_on_with_the_fold_that_is_missing(crossval, here, cache, tmp_path):
    out, _first = crossval
    copy = shutil.copytree(out, tmp_path / "out")
    shutil.rmtree(copy / "fold_2")
    kept = (copy / "fold_1" / "last.pt").stat().st_mtime_ns
    outcome = here(
        "train", "crossval", cache, "--out", copy, "--folds", "subject:3", "--preset", "quick", *SIZE
    )
    assert outcome.returncode == 0, outcome.stderr
    assert (copy / "fold_1" / "last.pt").stat().st_mtime_ns == kept
    assert outcome.stderr.count("epoch 1/1") == 1
    assert (copy / "crossval.csv").read_text() == (out / "crossval.csv").read_text()


def test_a_cross_validation_killed_within_a_fold_goes_on_within_it(program, here, cache, tmp_path):
    long = ("--epochs", 4, "--batch-size", 1, "--save-minutes", 0)
    call = ("crossval", cache, "--folds", "subject:3", "--preset", "quick", *SIZE, *long, "--out")
    assert here("train", *call, tmp_path / "whole").returncode == 0
    process = subprocess.Popen([program("train"), *map(str, call), tmp_path / "killed"])
    while process.poll() is None and not (tmp_path / "killed" / "fold_2" / "last.pt").exists():
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    outcome = here("train", *call, tmp_path / "killed")
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr.count("going on after") == 1  # fold 1 is done, fold 3 not begun
    tables = [(tmp_path / name / "crossval.csv").read_text() for name in ("whole", "killed")]
    assert tables[0] == tables[1]


def test_official_folds_are_those_of_the_dataset(here, cache, tmp_path):
    out = tmp_path / "out"
    call = ("train", "crossval", cache, "--out", out, "--folds", "official", "--preset", "quick", *SIZE)
    outcome = here(*call, "--json")
    assert outcome.returncode == 0, outcome.stderr
    rows = json.loads(outcome.stdout)["rows"]
    assert [(row["fold"], row["clips"]) for row in rows] == [
        ("1", 3), ("2", 3), ("mean", None), ("sd", None), ("pooled", 6),
    ]  # fmt: skip


def test_folds_that_do_not_exist_are_one_line(here, cache, sample_cache, tmp_path):
    for folds, source, message in (
        ("official", sample_cache, "the cache has no folds"),
        ("subject:9", cache, "the cache has 3 subjects; every fold needs at least one"),
        ("subjects", cache, "give official, or subject:K"),
        ("subject:1", cache, "with 2 to 1000 folds"),
        ("subject:99999999999999999999", cache, "with 2 to 1000 folds"),
    ):
        outcome = here("train", "crossval", source, "--out", tmp_path / "out", "--folds", folds)
        (line,) = [line for line in outcome.stderr.splitlines() if line.startswith("train:")]
        assert outcome.returncode == 1 and message in line, line


def test_evaluate_judges_scenes_and_subjects_on_their_own(here, crossval, cache):
    out, _ = crossval
    outcome = here("train", "evaluate", out / "fold_1", cache, "--clips", "all", "--json")
    result = json.loads(outcome.stdout)
    assert [(g["scene"], g["clips"], g["usable"]) for g in result["groups"]["scene"]] == [
        ("indoors", 3, 3), ("outdoors", 3, 2),
    ]  # fmt: skip
    assert [g["subject"] for g in result["groups"]["subject"]] == ["x", "y", "z"]
    weighted = sum(g["war"] * g["clips"] for g in result["groups"]["scene"]) / 6
    assert weighted == pytest.approx(result["war"])
    low, high = result["intervals"]["war"]
    assert low <= result["war"] <= high and result["intervals"]["drawn"] == "subjects"
    shown = here("train", "evaluate", out / "fold_1", cache, "--clips", "all").stdout
    assert "indoors" in shown and "bootstrap over subjects" in shown


@pytest.fixture(scope="module")
def sweep_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep") / "two.toml"
    path.write_text(
        'title = "Two heads"\nbase = "quick"\naxis = "heads"\npublished = "11"\n'
        '[[variant]]\nname = "6"\nset = { heads = 6 }\n[[variant]]\nname = "8"\nset = { heads = 8 }\n'
    )
    return path


def test_a_sweep_ends_in_a_table_beside_the_published_figures_and_goes_on_where_it_stopped(
    here, cache, sweep_file, tmp_path
):
    out = tmp_path / "out"
    call = ("train", "sweep", sweep_file, cache, "--out", out, "--fold", 1, *SIZE)
    outcome = here(*call)
    assert outcome.returncode == 0, outcome.stderr
    table = pl.read_csv(out / "sweep.csv", schema_overrides={"variant": pl.String})
    assert table["variant"].to_list() == ["6", "8"]
    # Table 11 of Huang et al. 2024
    assert table["published_war_DFEW"].to_list() == pytest.approx([0.6801, 0.6873])
    assert table["published_war_AFEW"].to_list() == pytest.approx([0.5342, 0.55])
    assert "68.73" in outcome.stdout and "Two heads" in outcome.stdout
    assert "two 6 (variant 1 of 2)" in outcome.stderr and "fold 1" not in outcome.stderr.replace(
        "on fold 1", ""
    )
    assert "not comparable with ours: published is AFEW and DFEW, this is" in outcome.stdout
    assert (out / "sweep.png").read_bytes().startswith(b"\x89PNG")
    shutil.rmtree(out / "8")
    (out / "sweep.csv").unlink()
    again = here(*call, "--json")
    assert again.returncode == 0 and again.stderr.count("epoch 1/1") == 1
    assert [row["variant"] for row in json.loads(again.stdout)["rows"]] == ["6", "8"]
    assert pl.read_csv(out / "sweep.csv", schema_overrides={"variant": pl.String}).equals(table)


def test_a_sweep_over_folds_gives_their_mean(here, cache, sweep_file, tmp_path):
    out = tmp_path / "out"
    outcome = here("train", "sweep", sweep_file, cache, "--out", out, "--folds", "official", *SIZE)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr.count("fold 1 of 2\n") == outcome.stderr.count("fold 2 of 2\n") == 2
    folds = pl.read_csv(out / "8" / "crossval.csv").filter(fold="mean")
    assert pl.read_csv(out / "sweep.csv")["last_war"][1] == pytest.approx(folds["last_war"][0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no sweep missing.toml: give one of depth, fusion, heads, lambda, parts"),
        ("title = ", "is no sweep"),
        ('base = "quick"', "wrong.toml is no sweep: it needs the field `variant`, as tables [[variant]]"),
        ("base = 3\nvariant = []", "it needs the field `base`, a text in quotes"),
        ("variant = []", "it needs the field `base`, a text in quotes"),
        ('base = "quick"\nvariant = [1]', "its variant 1 needs the field `name`, a text in quotes"),
        ('base = "quick"\nvariant = [{name = 6, set = {}}]', "its variant 1 needs the field `name`"),
        (
            'base = "quick"\nvariant = [{name = "6"}]',
            "its variant 1 needs the field `set`, a table of settings",
        ),
        (
            'base = "quick"\nvariant = [{name = "6", set = {}, what = 1}]',
            "its variant 1 needs the field `what`",
        ),
        ('base = "quick"\nvariant = [{name = "6", set = {heads = "x"}}]', "variant 6: --heads 'x'"),
        ('base = "quick"\nvariant = []', "its variants need different names"),
        ('base = "quick"\n[[variant]]\nname = "../x"\nset = {}', "names that can be folders"),
        ('base = "quick"\n[[variant]]\nname = "x"\nset = { hedas = 3 }', "no setting hedas"),
        ('base = "quick"\n[[variant]]\nname = "x"\nset = { heads = 0 }', "--heads 0"),
    ],
)
def test_a_sweep_that_cannot_be_is_one_line(here, cache, tmp_path, content, message):
    path = tmp_path / "wrong.toml" if content else "missing.toml"
    if content:
        path.write_text(content)
    outcome = here("train", "sweep", path, cache, "--out", tmp_path / "out")
    (line,) = outcome.stderr.splitlines()
    assert outcome.returncode == 1 and message in line


def test_a_flag_for_what_the_variants_themselves_set_is_wrong_usage(here, cache, sweep_file, tmp_path):
    call = ("sweep", sweep_file, cache, "--out", tmp_path / "out", "--fold", 1, "--heads", 3)
    outcome = here("train", *call)
    assert outcome.returncode == 2 and not (tmp_path / "out").exists()
    assert f"--heads: the variants of the sweep {sweep_file} set it themselves" in outcome.stderr


def test_the_papers_sweeps_have_the_rows_of_its_tables():
    from dfer.train.commands.sweep import load_sweep
    from dfer.train.config import load_config

    expected = {
        "parts": list("ABCDE"),
        "fusion": ["mean", "lstm", "structure"],
        "heads": ["6", "8", "10", "12"],
        "depth": ["2", "3", "4", "5", "6"],
        "lambda": ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"],
    }
    whole = load_config("paper")
    for name, rows in expected.items():
        sweep = load_sweep(name)
        assert [variant.name for variant in sweep.variants] == rows
        configs = [load_config(sweep.base, variant.settings) for variant in sweep.variants]
        assert len(set(map(str, configs))) == len(rows)
        assert configs.count(whole) == 1, name  # one row of each is the paper's network itself


def test_a_run_or_a_cache_is_no_folder_for_several_runs(tmp_path):
    cache = made_up.cache(tmp_path, "c", [made_up.clip("ab"[n % 2], n, fold=n // 2 + 1) for n in range(4)])
    run = tmp_path / "a [/b] run"
    made_up.done("run", cache, "--out", run, *made_up.TINY, "--fold", 1)
    before = (run / "predictions.parquet").read_bytes()
    for out, what in ((run, "a run"), (cache, "a cache")):
        line = made_up.refused("crossval", cache, "--out", out, "--folds", "official", *made_up.TINY)
        assert f"is {what}; give another --out" in line
        line = made_up.refused("sweep", "heads", cache, "--out", out, "--fold", 1, *made_up.TINY[2:])
        assert f"is {what}; give another --out" in line
    assert (run / "predictions.parquet").read_bytes() == before
