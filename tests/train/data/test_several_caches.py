"""Several caches used as one: how they are pooled and split, and runs on them."""

import json
import shutil

import polars as pl
import pytest
import torch
from made_up import TINY, cache, clip, done, printed, refused
from synthetic_cache import SyntheticClip

from dfer.schemas.face_shards import ShardReader
from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import open_pool
from dfer.train.data.dataset import Request, ViewSpec, clip_dataset, in_batches
from dfer.train.data.folds import official_folds
from dfer.train.data.loader import Loader
from dfer.train.data.splits import SplitChoice, choose_split
from dfer.train.engine import checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("caches")


@pytest.fixture(scope="module")
def split_cache(folder):
    """Happy and Sad, two people: four training clips and two test clips."""
    clips = [
        clip(("Happy", "Sad")[seed % 2], seed, split="test" if seed > 3 else "train", subject=f"s{seed % 2}")
        for seed in range(6)
    ]
    return cache(folder, "split", clips)


@pytest.fixture(scope="module")
def plain_cache(folder):
    """happiness, Sad and contempt, two other people with the same ids; no split."""
    labels = ("contempt", "happiness", "Sad")
    return cache(
        folder, "plain", [clip(labels[n % 3], 10 + n, subject=f"s{n % 2}") for n in range(6)], labels
    )


@pytest.fixture(scope="module")
def folds_cache(folder):
    return cache(folder, "folds", [clip("ab"[n % 2], 20 + n, fold=n // 2 + 1) for n in range(6)])


@pytest.fixture(scope="module")
def run(split_cache, plain_cache, folder):
    done("run", split_cache, plain_cache, "--out", folder / "run", *TINY)
    return folder / "run"


def ids(table):
    return table["clip_id"].to_list()


def test_a_single_cache_is_not_changed(plain_cache):
    pool = open_pool(plain_cache)
    assert pool.labels == ("contempt", "happiness", "Sad") and pool.dataset == "plain" and not pool.notes
    assert pool.clips.drop("cache", "stored_id").equals(pool.caches[0].clips)


def test_classes_are_the_union_with_canonical_names_for_different_spellings(split_cache, plain_cache):
    pool = open_pool(split_cache, plain_cache)
    assert pool.labels == ("happiness", "Sad", "contempt") and pool.dataset == "split + plain"
    assert set(pool.clips["label"]) == set(pool.labels)
    (note,) = pool.notes
    assert note == "the caches spell classes differently; using canonical names (split: Happy → happiness)"


def test_votes_follow_the_classes_of_the_pool(split_cache, tmp_path):
    voted = [clip("Sad", 30, votes=(1, 2, 7)), clip("happiness", 31), clip(None, 32, votes=(5, 5, 0))]
    other = cache(tmp_path, "voted", voted, ("contempt", "happiness", "Sad"))
    assert open_pool(other).clips["votes"].to_list() == [[1, 2, 7], None, [5, 5, 0]]
    pool = open_pool(split_cache, other)
    assert pool.labels == ("happiness", "Sad", "contempt")
    assert pool.clips["votes"].to_list() == [None] * 6 + [[2, 7, 1], None, [5, 0, 5]]
    assert open_pool(other, split_cache).clips["votes"].to_list()[:3] == [[1, 2, 7], None, [5, 5, 0]]


@pytest.mark.parametrize("votes", [(1, 2), (1, 2, 3, 4), (-1, 2, 3), (0, 0, 0), (float("nan"), 1, 1)])
def test_votes_that_do_not_fit_the_labels_are_refused(tmp_path, votes):
    broken = cache(tmp_path, "broken", [clip("a", 1, votes=votes)], ("a", "b", "c"))
    with pytest.raises(UserError, match=r"clips.parquet: its votes do not fit its labels; extract again"):
        open_pool(broken)


def test_a_label_that_the_cache_does_not_list_is_refused(tmp_path):
    made = cache(tmp_path, "made", [clip("a", 0), clip("b", 1)], labels=["b"])
    with pytest.raises(
        UserError, match=r"clips.parquet: the label a is not one of cache.json's; extract again"
    ):
        open_pool(made)


def test_people_and_clips_of_two_caches_are_kept_apart(split_cache, plain_cache):
    pool = open_pool(split_cache, plain_cache)
    assert pool.clips["clip_id"].n_unique() == 12 and pool.clips["stored_id"].n_unique() == 6
    assert sorted(pool.clips["subject"].unique()) == ["plain/s0", "plain/s1", "split/s0", "split/s1"]
    assert ids(pool.clips)[5:7] == ["split/000005", "plain/000000"]


def test_the_loader_reads_each_clip_from_its_own_cache(split_cache, plain_cache):
    pool = open_pool(split_cache, plain_cache)
    dataset = clip_dataset(pool, pool.clips, pool.labels, ViewSpec(frames=2))
    order = [7, 0, 11, 6, 5]
    here, workers = (
        [*Loader(dataset, count, torch.device("cpu")).batches(in_batches(order, 5))] for count in (0, 1)
    )
    single = []
    for number in order:
        own = open_pool((split_cache, plain_cache)[number // 6])
        part = clip_dataset(own, own.clips, own.labels, ViewSpec(frames=2))
        (batch,) = Loader(part, 0, torch.device("cpu")).batches([[Request(number % 6)]])
        single.append(batch.frames[0])
    assert torch.equal(here[0].frames, torch.stack(single)) and torch.equal(workers[0].frames, here[0].frames)
    assert [pool.labels[k] for k in here[0].labels] == [pool.clips["label"][k] for k in order]
    assert dataset.ids([7]) == ["plain/000001"]


def test_a_damaged_clip_is_reported_with_its_own_cache(split_cache, plain_cache, tmp_path):
    broken = shutil.copytree(plain_cache, tmp_path / "broken")
    (broken / "faces" / "00000.arrow").write_bytes(b"junk")
    pool = open_pool(split_cache, broken)
    dataset = clip_dataset(pool, pool.clips, pool.labels, ViewSpec(frames=2))
    with pytest.raises(
        UserError, match=rf"{broken}/faces/00000.arrow, clip 000003: .*extract this cache again"
    ):
        list(Loader(dataset, 0, torch.device("cpu")).batches([[Request(9)]]))
    assert ShardReader(split_cache, 18).read(0, 0, "000000")


def test_of_two_caches_the_one_without_a_split_is_all_for_training(split_cache, plain_cache):
    split = choose_split(open_pool(split_cache, plain_cache).clips, SplitChoice(), 0)
    assert ids(split.test) == ["split/000004", "split/000005"]
    assert len(split.train) == 10 and not split.seen and not split.official
    words = "split: the dataset's own test split; plain: none, it has no such split"
    assert split.description == words


def test_a_fold_applies_to_the_caches_that_have_folds(split_cache, plain_cache, folds_cache):
    clips = open_pool(folds_cache, split_cache, plain_cache).clips
    split = choose_split(clips, SplitChoice(fold=2), 0)
    # No cache's official test clips are trained on.
    assert ids(split.test) == [
        f"{name}/00000{n}" for name, n in (("folds", 2), ("folds", 3), ("split", 4), ("split", 5))
    ]
    assert split.train["dataset"].value_counts().sort("dataset").rows() == [
        ("folds", 4),
        ("plain", 6),
        ("split", 4),
    ]
    assert official_folds(clips) == [1, 2, 3]
    with pytest.raises(UserError, match="folds has folds 1, 2, 3; choose one with --fold"):
        choose_split(clips, SplitChoice(), 0)
    with pytest.raises(UserError, match="--fold 7: folds has folds 1, 2, 3"):
        choose_split(clips, SplitChoice(fold=7), 0)
    with pytest.raises(UserError, match="--fold 1: no folds in the cache but a split; leave --fold out"):
        choose_split(open_pool(split_cache, plain_cache).clips, SplitChoice(fold=1), 0)


def test_caches_with_different_folds_are_not_cross_validated_together(folds_cache, folder, tmp_path):
    other = cache(folder, "two folds", [clip("ab"[n % 2], 40 + n, fold=n // 2 + 1) for n in range(4)])
    line = refused("crossval", folds_cache, other, "--out", tmp_path / "o", "--folds", "official", *TINY)
    assert "the caches have different folds: 1, 2; 1, 2, 3" in line


def test_subjects_are_held_out_of_each_cache(split_cache, plain_cache, folder):
    other = cache(folder, "second plain", [clip("Sad", 50 + n, subject=f"s{n % 3}") for n in range(6)])
    clips = open_pool(plain_cache, other).clips
    split = choose_split(clips, SplitChoice(holdout=0.5), 0)
    assert set(split.train["subject"]).isdisjoint(split.test["subject"])
    assert set(split.test["dataset"]) == set(split.train["dataset"]) == {"plain", "second plain"}
    folds = [choose_split(clips, SplitChoice(fold=k, subject_folds=2), 0) for k in (1, 2)]
    assert sorted(ids(folds[0].test) + ids(folds[1].test)) == sorted(ids(clips))


def test_clips_in_two_caches_are_counted_and_refused_if_in_both_training_and_test(folder, split_cache):
    copy = cache(folder, "copy", [clip("Sad", seed) for seed in (0, 4, 99)])
    pool = open_pool(split_cache, copy)
    assert pool.notes == ("warning: 2 clips in more than one cache (same file content)",)
    line = refused("run", split_cache, copy, "--out", folder / "leak", *TINY)
    assert (
        "1 test clip also in the training part of another cache (same file content, such as split/000004)"
        in line
    )
    assert not (folder / "leak").exists()
    harmless = cache(folder, "harmless", [clip("Sad", 0)])
    assert len(choose_split(open_pool(split_cache, harmless).clips, SplitChoice(), 0).test) == 2


def test_caches_that_do_not_fit_together_are_refused_in_one_line(split_cache, plain_cache, folder, tmp_path):
    larger = cache(folder, "larger", [clip("Sad", 60, size=48)])
    line = refused("run", split_cache, larger, "--out", tmp_path / "run", *TINY)
    assert f"{split_cache} has crops of 32 px, {larger} of 48 px" in line and "--size 32 or 48" in line
    line = refused("run", split_cache, split_cache, "--out", tmp_path / "run", *TINY)
    assert "is given twice" in line
    scored = shutil.copytree(split_cache, tmp_path / "scored")
    info = json.loads((scored / "cache.json").read_text())
    info["settings"]["blendshapes"] = True
    (scored / "cache.json").write_text(json.dumps(info))
    asked = ("run", scored, plain_cache, "--out", tmp_path / "run", *TINY, "--expression-scores")
    assert f"{plain_cache} has no expression scores" in refused(*asked, "on")
    assert "using canonical names (split: Happy → happiness)" in done(*asked, "auto").stderr
    assert 'expression_scores = "off"' in (tmp_path / "run" / "settings.toml").read_text()


def test_a_run_on_two_caches_records_what_it_was_made_of(run, split_cache, plain_cache):
    origin = json.loads((run / "run.json").read_text())
    assert origin["caches"] == [str(split_cache.resolve()), str(plain_cache.resolve())]
    assert (origin["dataset"], origin["training_clips"], origin["test_clips"]) == ("split + plain", 10, 2)
    assert origin["labels"] == ["happiness", "Sad", "contempt"]
    assert checkpoint.load(run / "last.pt").origin["dataset"] == "split + plain"
    again = done("run", split_cache, plain_cache, "--out", run, *TINY)
    assert again.stdout.startswith("nothing to do")
    for other in ((split_cache,), (plain_cache, split_cache)):
        line = refused("run", *other, "--out", run, *TINY)
        assert str(run) in line and "(made with another cache)" in line and "--out" in line


def test_evaluate_gives_figures_for_each_dataset(run, split_cache, plain_cache, tmp_path):
    table = tmp_path / "predictions.csv"
    result = printed("evaluate", run, split_cache, plain_cache, "--clips", "all", "--predictions", table)
    rows = pl.read_csv(table)
    assert rows["dataset"].to_list() == ["split"] * 6 + ["plain"] * 6 and rows["clip_id"].n_unique() == 12
    assert [(g["dataset"], g["clips"]) for g in result["groups"]["dataset"]] == [("plain", 6), ("split", 6)]
    alone = printed("evaluate", run, plain_cache, "--clips", "all")
    assert {f"plain/{k}": v for k, v in alone["predictions"].items()}.items() <= result["predictions"].items()
    own = printed("evaluate", run, split_cache, plain_cache)
    predictions = pl.read_parquet(run / "predictions.parquet")
    assert own["predictions"] == dict(predictions.select("clip_id", "predicted").iter_rows())


def test_the_report_of_a_run_on_two_caches(run, split_cache, plain_cache, tmp_path):
    done("report", run)
    assert "split + plain" in (run / "report.html").read_text()
    moved = [shutil.copytree(source, tmp_path / source.name) for source in (split_cache, plain_cache)]
    flags = [part for source in moved for part in ("--cache", source)]
    done("report", run, *flags, "--clips", 0, "--out", tmp_path / "r.html")
    assert "trained on 2 caches" in refused("report", run, "--cache", moved[0])


def test_the_difference_to_the_run_in_the_folder_is_named_and_so_is_a_cache_it_cannot_be_tested_on(
    folds_cache, split_cache, folder, tmp_path
):
    out = tmp_path / "run"
    done("run", folds_cache, "--out", out, *TINY, "--fold", 1)
    line = refused("run", folds_cache, "--out", out, *TINY, "--fold", 2)
    assert "(made with another split: fold 1 instead of fold 2)" in line
    line = refused("run", folds_cache, "--out", out, *TINY, "--fold", 1, "--init-from", out)
    assert "(made with other initial weights)" in line
    line = refused("run", folds_cache, "--out", out, *TINY, "--fold", 1, "--heads", 2)
    assert "(made with --heads 8 instead of --heads 2)" in line
    two = cache(folder, "other folds", [clip("ab"[n % 2], 40 + n, fold=n // 2 + 2) for n in range(4)])
    line = refused("evaluate", out, two)
    words = "cannot be split like the run (fold 1); evaluate all its clips with `train evaluate --clips all`"
    assert line.endswith(f"{two} {words}")


def test_a_bad_last_fold_is_refused_before_the_first_is_trained(folder, tmp_path):
    labels = ("a", "b", "a", "b", None, None)
    bad = cache(folder, "bad fold", [clip(label, n, fold=n // 2 + 1) for n, label in enumerate(labels)])
    call = ("crossval", bad, "--out", tmp_path / "out", "--folds", "official", *TINY)
    assert "fold 3: the cache has folds 1, 2" in refused(*call)  # no clip of it has a label
    assert not (tmp_path / "out").exists()


def test_faceless_test_clips_count_as_the_most_frequent_class_in_run_and_evaluate(folder, tmp_path):
    seen = [clip(label, n, split="train") for n, label in enumerate("aab")]
    faceless = [SyntheticClip(label=label, split="test", crops=None, keypoints=None) for label in "abb"]
    source = cache(folder, "faceless", [*seen, *faceless])
    done("run", source, "--out", tmp_path / "run", *TINY)
    trained = pl.read_parquet(tmp_path / "run" / "predictions.parquet")
    result = printed("evaluate", tmp_path / "run", source)
    assert result["predictions"] == dict(trained.select("clip_id", "predicted").iter_rows())
    assert set(result["predictions"].values()) == {"a"}
    assert result["war"] == pytest.approx(1 / 3) and result["war_usable"] is None and result["usable"] == 0
    assert "usable: WAR" in done("evaluate", tmp_path / "run", source).stdout


def test_cross_validation_and_sweeps_take_several_caches(folds_cache, plain_cache, tmp_path):
    call = (folds_cache, plain_cache, "--out", tmp_path / "folds", "--folds", "official", *TINY)
    rows = printed("crossval", *call)["rows"]
    assert [row["clips"] for row in rows] == [2, 2, 2, None, None, 6]
    sweep = tmp_path / "one.toml"
    sweep.write_text('base = "quick"\naxis = "heads"\n[[variant]]\nname = "2"\nset = { heads = 2 }\n')
    call = (folds_cache, plain_cache, "--out", tmp_path / "sweep", "--fold", 1, *TINY[2:])
    assert [row["variant"] for row in printed("sweep", sweep, *call)["rows"]] == ["baseline", "2"]
