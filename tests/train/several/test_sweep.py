"""`train sweep` on six clips with made-up subjects and folds."""

import json
import shutil

import polars as pl
import pytest

from dfer.data_manifest.published_results import PAPER, published
from dfer.train.config import load_config
from dfer.train.several.sweep_file import load_sweep


@pytest.fixture(scope="module")
def sweep_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep") / "two.toml"
    path.write_text(
        'title = "Two heads"\nbase = "quick"\naxis = "heads"\npublished = "11"\n'
        '[[variant]]\nname = "6"\nset = { heads = 6 }\n[[variant]]\nname = "8"\nset = { heads = 8 }\n'
    )
    return path


def test_a_sweep_is_compared_with_the_published_ablation_and_resumes(
    here, folds_cache, sweep_file, tiny, tmp_path
):
    out = tmp_path / "out"
    call = ("train", "sweep", sweep_file, folds_cache, "--out", out, "--fold", 1, *tiny)
    outcome = here(*call)
    assert outcome.returncode == 0, outcome.stderr
    table = pl.read_csv(out / "sweep.csv", schema_overrides={"variant": pl.String})
    assert table["variant"].to_list() == ["baseline", "6", "8"]
    every, table = table, table[1:]
    assert table["pooled_war"].to_list() == table["last_war"].to_list() and set(table["seeds"]) == {1}
    # Table 11 of Huang et al. 2024
    assert table["published_war_DFEW"].to_list() == pytest.approx([0.6801, 0.6873])
    assert table["published_war_AFEW"].to_list() == pytest.approx([0.5342, 0.55])
    assert "68.73" in outcome.stdout and "Two heads" in outcome.stdout
    assert "variant 6 (1 of 2)" in outcome.stderr and "fold 1 of" not in outcome.stderr
    assert "not comparable with ours: published on AFEW and DFEW, not on" in outcome.stdout
    assert (out / "sweep.png").read_bytes().startswith(b"\x89PNG")
    shutil.rmtree(out / "8")
    (out / "sweep.csv").unlink()
    again = here(*call, "--json")
    assert again.returncode == 0 and again.stderr.count("epoch 1/1") == 1
    assert [row["variant"] for row in json.loads(again.stdout)["rows"]] == ["baseline", "6", "8"]
    resumed = pl.read_csv(out / "sweep.csv", schema_overrides={"variant": pl.String})
    assert resumed.drop("clips_per_second").equals(every.drop("clips_per_second"))


def test_preset_is_the_base_of_every_variant_that_names_none(here, folds_cache, tiny, tmp_path):
    path, mine, out = tmp_path / "bases.toml", tmp_path / "mine.toml", tmp_path / "out"
    path.write_text(
        'base = "paper"\n[[variant]]\nname = "x"\nset = { heads = 1 }\n'
        '[[variant]]\nname = "y"\nbase = "quick"\nset = { heads = 2 }\n'
    )
    mine.write_text(load_config("quick", {"mlp_width": 64}).to_toml())
    call = ("train", "sweep", path, folds_cache, "--out", out, "--fold", 1, *tiny)
    outcome = here(*call, "--preset", mine)
    assert outcome.returncode == 0, outcome.stderr
    x, y = (load_config(str(out / name / "settings.toml")) for name in ("x", "y"))
    assert (x.network.heads, y.network.heads) == (1, 2)
    assert (x.network.mlp_width, y.network.mlp_width) == (64, load_config("quick").network.mlp_width)
    other = here(*call, "--preset", "qiuck")
    assert other.returncode == 1 and "no preset qiuck" in other.stderr


def test_a_sweep_over_the_datasets_folds_has_their_mean(here, folds_cache, sweep_file, tiny, tmp_path):
    out = tmp_path / "out"
    outcome = here("train", "sweep", sweep_file, folds_cache, "--out", out, "--folds", "official", *tiny)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr.count("fold 1 of 2\n") == outcome.stderr.count("fold 2 of 2\n") == 2
    folds = pl.read_csv(out / "8" / "crossval.csv").filter(fold="mean")
    assert pl.read_csv(out / "sweep.csv")["last_war"][2] == pytest.approx(folds["last_war"][0])
    # A variant's folder is a cross-validation over the dataset's own folds.
    call = ("crossval", folds_cache, "--out", out / "8", "--folds", "official", "--preset", "quick", *tiny)
    again = here("train", *call, "--json")
    assert again.returncode == 0 and "epoch 1/1" not in again.stderr
    assert [(row["fold"], row["clips"]) for row in json.loads(again.stdout)["rows"]] == [
        ("1", 3), ("2", 3), ("mean", None), ("sd", None), ("pooled", 6),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no sweep missing.toml; choose one of depth, fusion, heads, lambda, levers, parts"),
        ("title = ", "is not a valid sweep: "),
        (
            'base = "quick"',
            "wrong.toml is not a valid sweep: needs a field `variant`, a list of tables [[variant]]",
        ),
        ("base = 3\nvariant = []", "needs a field `base`, a string"),
        ("variant = []", "needs a field `base`, a string"),
        ('base = "quick"\nvariant = [1]', "variant 1 needs a field `name`, a string"),
        ('base = "quick"\nvariant = [{name = 6, set = {}}]', "variant 1 needs a field `name`"),
        ('base = "quick"\nvariant = [{name = "6"}]', "variant 1 needs a field `set`, a table of settings"),
        (
            'base = "quick"\nvariant = [{name = "6", set = {}, what = 1}]',
            "variant 1 needs a field `what`",
        ),
        ('base = "quick"\nvariant = [{name = "6", set = {heads = "x"}}]', 'variant 6: --heads "x"'),
        ('base = "quick"\nvariant = []', "variants need unique names"),
        ('base = "quick"\n[[variant]]\nname = "../x"\nset = {}', "names that can be folder names"),
        ('base = "quick"\n[[variant]]\nname = "x"\nset = { hedas = 3 }', "variant x: unknown setting hedas"),
        ('base = "quick"\n[[variant]]\nname = "x"\nset = { heads = 0 }', "--heads 0"),
        (
            'base = "quick"\n[[variant]]\nname = "x"\nset = { seed = 1 }',
            "a variant must not set `seed`; give --seeds",
        ),
        (
            'base = "quick"\n[[variant]]\nname = "x"\nfrom_scratch = "yes"\nset = {}',
            "variant 1 needs a field `from_scratch`, true or false",
        ),
        (
            'base = "quick"\n[[variant]]\nname = "x"\nfrom_scrach = true\nset = {}',
            "variant 1 has a field `from_scrach`, which is none of name, what, base, from_scratch, set",
        ),
        ('base = "quick"\n[[variant]]\nname = "x"\nbase = "qiuck"\nset = {}', "variant x: no preset qiuck"),
    ],
)
def test_an_invalid_sweep_is_one_line(here, folds_cache, tmp_path, content, message):
    path = tmp_path / "wrong.toml" if content else "missing.toml"
    if content:
        path.write_text(content)
    outcome = here("train", "sweep", path, folds_cache, "--out", tmp_path / "out")
    (line,) = outcome.stderr.splitlines()
    assert outcome.returncode == 1 and message in line


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("soft_labels = true", "--soft-labels: no training clip of"),
        ('expression_scores = "on"', "has no expression scores, which the network needs"),
    ],
)
@pytest.mark.parametrize("split", [("--fold", 1), ("--folds", "official")])
def test_a_last_variant_that_cannot_be_trained_is_refused_before_the_first_is(
    here, folds_cache, tmp_path, setting, message, split
):
    path = tmp_path / "impossible.toml"
    variants = ('[[variant]]\nname = "x"\nset = {}', f'[[variant]]\nname = "y"\nset = {{ {setting} }}')
    path.write_text("\n".join(('base = "quick"', *variants)))
    outcome = here("train", "sweep", path, folds_cache, "--out", tmp_path / "out", *split)
    (line,) = outcome.stderr.splitlines()
    assert outcome.returncode == 1 and message in line
    assert not (tmp_path / "out").exists()


def test_flags_that_contradict_a_sweep_are_wrong_usage(here, folds_cache, sweep_file, tmp_path):
    call = ("sweep", sweep_file, folds_cache, "--out", tmp_path / "out", "--fold", 1)
    outcome = here("train", *call, "--heads", 3)
    assert outcome.returncode == 2 and not (tmp_path / "out").exists()
    assert f"--heads: set by the variants of the sweep {sweep_file}; leave it out" in outcome.stderr
    outcome = here("train", *call, "--folds", "official")
    assert outcome.returncode == 2 and not (tmp_path / "out").exists()
    assert "--folds cannot be combined with --fold or --holdout" in outcome.stderr


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("parts", ["A", "B", "C", "D", "E"]),
        ("fusion", ["mean", "lstm", "structure"]),
        ("heads", ["6", "8", "10", "12"]),
        ("depth", ["2", "3", "4", "5", "6"]),
        ("lambda", ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]),
    ],
)
def test_the_papers_sweeps_have_the_rows_of_its_tables(name, rows):
    paper, sweep = load_config("paper"), load_sweep(name)
    names = [variant.name for variant in sweep.variants]
    assert [each for each in names if each != "B-mean"] == rows  # a second reading of B
    printed = published().filter(table=sweep.published, method=PAPER, metric="war")["variant"]
    assert set(printed) <= set(rows)
    configs = [load_config(variant.base, variant.settings) for variant in sweep.variants]
    assert len(set(map(str, configs))) == len(configs)
    assert configs.count(paper) == 1  # one row is the paper's network itself
