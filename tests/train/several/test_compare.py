"""`train compare` on six clips with made-up subjects and folds."""

import contextlib
import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from html_page import Page, check_harmless, cut_off_on_a_phone, needs_chromium
from made_up import cache, clip, train
from synthetic_cache import SyntheticClip

from dfer.schemas.support.files import file_sha256
from dfer.train.config import load_config
from dfer.train.models.registry import network_class
from dfer.train.several.compared_networks import Networks, configs_of

README = Path(__file__).parents[3] / "train" / "models" / "README.md"
SIZE = ("--image-size", 32, "--num-frames", 2, "--epochs", 1, "--batch-size", 2)
MODELS = ("quick", "former-dfer", "resnet18")


@pytest.fixture(scope="module")
def compared(here, folds_cache, tmp_path_factory):
    """Three networks over two folds: the call, its folder and what it printed."""
    out = tmp_path_factory.mktemp("compared") / "out"
    call = ("train", "compare", folds_cache, "--models", ",".join(MODELS), "--out", out, *SIZE)
    call += ("--folds", "official")
    outcome = here(*call)
    assert outcome.returncode == 0, outcome.stderr
    return call, out, outcome


def test_each_network_has_a_row_with_its_accuracy_difference_and_cost(compared, here):
    _, out, outcome = compared
    table = pl.read_csv(out / "compare.csv")
    assert table["network"].to_list() == ["baseline", *MODELS]
    for row in table[1:].iter_rows(named=True):
        described = json.loads(
            here("train", "describe", "--model", row["network"], *SIZE[:4], "--classes", 2, "--json").stdout
        )
        assert described[-1]["multiply_adds"] == row["multiply_adds"]
        folds = pl.read_csv(out / row["network"] / "crossval.csv")
        assert row["pooled_war"] == folds.filter(fold="pooled")["last_war"][0]
        assert row["last_war"] == pytest.approx(folds.filter(fold="mean")["last_war"][0])
        assert row["training_clips_per_second"] < row["inference_clips_per_second"]
        difference = row["pooled_war"] - table["pooled_war"][1]
        assert row["war_difference"] is None or row["war_difference"] == pytest.approx(difference)
    assert table["war_difference"].is_null().to_list() == [False, True, False, False]
    assert "network resnet18 (3 of 3)" in outcome.stderr
    assert "resnet18: as far as published: " in outcome.stdout and "minus quick" in outcome.stdout


def test_all_networks_see_the_same_clips_crops_epochs_and_seeds(compared):
    _, out, _ = compared
    configs = [load_config(str(out / name / "fold_1" / "settings.toml")) for name in MODELS]
    for config in configs[1:]:
        assert (config.data, config.execution) == (configs[0].data, configs[0].execution)
        assert (config.recipe.epochs, config.recipe.seed) == (1, configs[0].recipe.seed)
    assert len({config.recipe.optimiser for config in configs}) == 2  # each with its own
    clips = [pl.read_parquet(out / name / "predictions.parquet")["clip_id"].to_list() for name in MODELS]
    assert clips[0] == clips[1] == clips[2] and len(clips[0]) == 6


def test_started_again_it_trains_only_what_is_missing(compared, here):
    call, out, _ = compared
    before, speeds = pl.read_csv(out / "compare.csv"), (out / "speed.json").read_bytes()
    shutil.rmtree(out / "resnet18" / "fold_2")
    (out / "compare.csv").unlink()
    again = here(*call, "--json")
    assert again.returncode == 0 and again.stderr.count("epoch 1/1") == 1
    assert (out / "speed.json").read_bytes() == speeds
    assert pl.read_csv(out / "compare.csv").drop("clips_per_second").equals(before.drop("clips_per_second"))
    assert [row["network"] for row in json.loads(again.stdout)["rows"]] == ["baseline", *MODELS]


def test_the_page_is_harmless_and_has_every_network(compared):
    _, out, _ = compared
    page = Page((out / "compare.html").read_bytes())
    check_harmless(page)
    for text in (*MODELS, "Zhao and Liu 2021", "landmark baseline", "resnet18 (as far as published)"):
        assert text in page.text
    assert (out / "compare.png").read_bytes().startswith(b"\x89PNG")


@needs_chromium
def test_nothing_of_the_page_is_cut_off_on_a_phone(compared, tmp_path):
    _, out, _ = compared
    assert cut_off_on_a_phone((out / "compare.html").read_bytes(), tmp_path) == ""


def test_a_recipes_milestones_keep_their_place_in_a_shorter_training():
    found = configs_of(Networks(models=("paper", "former-dfer"), settings={"epochs": 8}))
    assert found["paper"].recipe.milestones == (4, 6)  # 40 and 60 of 80
    assert found["former-dfer"].recipe.milestones == pytest.approx((3.2, 6.4))  # 40 and 80 of 100
    assert found["former-dfer"].recipe.optimiser == "sgd" and found["paper"].recipe.optimiser == "adam"
    given = configs_of(Networks(models=("paper",), settings={"epochs": 8, "milestones": (2,)}))
    assert given["paper"].recipe.milestones == (2,)


def test_a_preset_as_recipe_is_that_of_all_networks():
    found = configs_of(Networks(models=("strong", "paper", "former-dfer"), recipe="strong"))
    strong = load_config("strong")
    assert found["strong"] == strong
    for name in ("paper", "former-dfer"):
        assert (found[name].data, found[name].recipe) == (strong.data, strong.recipe)
        assert found[name].network == load_config(name).network


def test_every_network_starts_from_its_own_training_on_the_same_stills(here, tmp_path):
    pictures = [clip(("a", "b")[n % 2], n) for n in range(8)]
    stills = [
        SyntheticClip(label=each.label, crops=each.crops[:1], keypoints=each.keypoints[:1], votes=(3, 1))
        for each in pictures
    ]
    clips = [clip(("a", "b")[n % 2], 100 + n, split=("train", "test")[n > 3]) for n in range(6)]
    stills, clips = cache(tmp_path, "stills", stills), cache(tmp_path, "clips", clips)
    out = tmp_path / "out"
    call = ("train", "compare", clips, "--models", "quick,nr-dfernet", "--out", out, *SIZE)
    outcome = here(*call, "--pretrain", stills, "--pretrain-epochs", 2)
    assert outcome.returncode == 0, outcome.stderr
    for name, frames in (("quick", 1), ("nr-dfernet", 2)):  # NR-DFERNet needs two
        run = out / "pretraining" / name
        config = load_config(str(run / "settings.toml"))
        assert (config.data.num_frames, config.recipe.epochs, config.recipe.soft_labels) == (frames, 2, True)
        weights = json.loads((out / name / "weights.json").read_text())
        started_from = json.loads((out / name / "run.json").read_text())["init_from"]
        assert weights["classes"] == ["a", "b"] and started_from == file_sha256(run / "best.pt")
    again = here(*call, "--pretrain", stills, "--pretrain-epochs", 2)
    assert again.returncode == 0 and "epoch 1/" not in again.stderr
    other = here(*call)
    assert other.returncode == 1 and "other initial weights" in other.stderr
    shutil.rmtree(out / "pretraining" / "nr-dfernet")  # it would be trained first, for nothing
    for flags, reason in {
        ("--learning-rate", 0.5): "instead of --learning-rate 0.5",
        ("--pretrain", clips): "pretraining/quick contains another run",
    }.items():
        other = here(*call, "--pretrain", stills, "--pretrain-epochs", 2, *flags)
        assert other.returncode == 1 and reason in other.stderr.splitlines()[-1]
        assert "epoch 1/" not in other.stderr and not (out / "pretraining" / "nr-dfernet").exists()


def test_runs_from_scratch_are_not_pretrained_for_nothing(compared, here, folds_cache):
    call, out, _ = compared
    other = here(*call, "--pretrain", folds_cache)
    assert other.returncode == 1 and "made with other initial weights" in other.stderr.splitlines()[-1]
    assert "epoch 1/" not in other.stderr and not (out / "pretraining").exists()


@pytest.fixture(scope="module")
def own_networks(sample_cache, tmp_path_factory):
    """Three files with the network of the README: the folder, and the call to compare them there."""
    folder = tmp_path_factory.mktemp("own")
    (code,) = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.M | re.S)
    for name in ("mine.py", "other.py"):
        (folder / name).write_text(code)
    (folder / "third.py").write_text(code.replace("MyNetwork", "Third"))
    models = "mine.py:MyNetwork,other.py:MyNetwork,third.py:Third"
    return folder, ("compare", sample_cache, "--models", models, "--out", "out", *SIZE)


def test_networks_of_a_users_own_have_their_class_name_and_that_of_the_file_if_it_is_the_same(own_networks):
    folder, call = own_networks
    with contextlib.chdir(folder):
        outcome = train(*call)
    assert outcome.exit_code == 0, outcome.stderr
    table = pl.read_csv(folder / "out" / "compare.csv")
    assert table["network"].to_list() == ["baseline", "mine.MyNetwork", "other.MyNetwork", "Third"]
    assert set(table["tested_on"]) == {"training clips"}  # this cache has no split
    assert "training clips pooled, last epoch" in outcome.stdout
    page = (folder / "out" / "compare.html").read_text()
    assert "WAR, 3 networks (a tie)" in page and "(highest)" not in page  # they are one network
    assert "All training clips pooled" in page and "test clips" not in page


def test_nothing_is_cut_off_in_80_columns(own_networks):
    folder, call = own_networks
    with contextlib.chdir(folder):
        outcome = train(*call, columns=80)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.count("(100.0–100.0)") == 2  # the landmark baseline's, the widest there are
    assert "…" not in outcome.stdout and "clips/s\n" in re.sub(" +\n", "\n", outcome.stdout)
    for row in pl.read_csv(folder / "out" / "compare.csv")[1:].iter_rows(named=True):
        for speed in ("clips_per_second", "training_clips_per_second", "inference_clips_per_second"):
            assert f" {row[speed]:.3g} " in outcome.stdout


def test_a_network_with_parts_of_ours_is_not_called_the_published_one():
    found = configs_of(Networks(models=("paper", "strong", "former-dfer")))
    sources = {name: network_class(config.model).source_of(config.network) for name, config in found.items()}
    assert sources["paper"].parameters == 17 and sources["former-dfer"].parameters == 18
    assert sources["strong"].parameters is None
    assert "expression scores, geometry, landmark regression added here" in sources["strong"].citation


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--models", "quick,quick"), "--models quick,quick: give networks with different names"),
        (("--models", "quick,nosuch"), "--model nosuch: there is none of this name"),
        (("--models", "quick", "--recipe", "nosuch"), "no preset nosuch; give one of "),
        (("--models", "quick", "--folds", "subject:9"), "the cache has 3 subjects"),
        (("--models", "quick,nr-dfernet", "--num-frames", 1), "--num-frames 1: NR-DFERNet needs at least 2"),
        (("--models", "quick", "--pretrain", "missing"), "missing"),
        (("--models", "quick", "--fold", 1, "--dask", "nonsense"), "an address looks like tcp://"),
    ],
)
def test_what_cannot_be_compared_is_one_line_before_any_training(here, folds_cache, tmp_path, flags, message):
    split = () if "--folds" in flags or "--fold" in flags else ("--fold", 1)
    outcome = here("train", "compare", folds_cache, "--out", tmp_path / "out", *SIZE, *split, *flags)
    assert outcome.returncode == 1 and message in outcome.stderr.splitlines()[-1]
    assert "epoch 1/1" not in outcome.stderr and not (tmp_path / "out").exists()
