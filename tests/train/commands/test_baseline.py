"""`train baseline`, and the baseline that every run, report and comparison shows."""

import dataclasses
import shutil

import made_up
import numpy as np
import polars as pl
import pytest
from html_page import Page
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from synthetic_cache import SyntheticClip, write_cache

DESCRIPTION = "landmark baseline (logistic regression, no pixels)"
LABELS = ("anger", "fear", "joy")


def shaped(label: str, seed: int, scores: bool = True, **about) -> SyntheticClip:
    """A clip of two noisy frames whose points, and scores, depend on the label as much as on chance."""
    random = np.random.default_rng(seed)
    centre = np.random.default_rng(LABELS.index(label) if label in LABELS else 0)
    points = 16 + 2 * centre.normal(size=(68, 2)) + 3 * random.normal(size=(68, 2))
    chances = 1 / (1 + np.exp(-centre.normal(size=52) - random.normal(size=(2, 52))))
    return SyntheticClip(
        label=label,
        crops=random.integers(0, 256, (2, 32, 32, 3), np.uint8),
        keypoints=np.full((2, 18, 2), 16),
        landmarks=np.tile(points, (2, 1, 1)),
        scores=chances if scores else None,
        **about,
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Thirty clips of ten people in three folds, three of the clips without a face."""
    clips = [
        shaped(LABELS[seed % 3 if seed % 7 else 0], seed, fold=seed % 10 % 3 + 1, subject=f"s{seed % 10}")
        for seed in range(30)
    ]
    for number in (4, 5, 27):
        clips[number] = SyntheticClip(
            label=clips[number].label, fold=clips[number].fold, subject=clips[number].subject
        )
    return write_cache(tmp_path_factory.mktemp("baseline") / "cache", clips, LABELS)


def features(cache) -> dict[str, np.ndarray]:
    """The features of each clip, from the table's own columns."""
    found = {}
    for clip_id, rows in pl.read_parquet(cache / "landmarks/00000.parquet").group_by("clip_id"):
        scores = np.clip(np.array(rows["blendshapes"].to_list()), 1e-3, 1 - 1e-3)
        points = [
            np.array(transform) @ np.column_stack([frame, np.ones(68)]).T
            for frame, transform in rows.select("landmarks", "transform").iter_rows()
        ]
        shape = np.array([frame.T.ravel() for frame in points]) / 32
        found[clip_id[0]] = np.concatenate([np.log(scores / (1 - scores)), shape], 1).mean(0)
    return found


def test_each_fold_is_predicted_by_scikit_learns_regression_on_the_others(cache, tmp_path):
    table = tmp_path / "predictions.parquet"
    result = made_up.printed("baseline", cache, "--folds", "official", "--predictions", table)
    clips, known = pl.read_parquet(cache / "clips.parquet"), features(cache)
    expected = {}
    for fold in (1, 2, 3):
        trained = clips.filter(pl.col("fold") != fold, status="ok")
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
        model.fit([known[clip_id] for clip_id in trained["clip_id"]], trained["label"])
        for clip_id, status in clips.filter(fold=fold).select("clip_id", "status").iter_rows():
            # A clip without a face counts as predicted as the most frequent training class.
            expected[clip_id] = model.predict([known[clip_id]])[0] if status == "ok" else "anger"
    assert result["predictions"] == expected
    truth = dict(clips.select("clip_id", "label").iter_rows())
    pairs = [truth[clip_id] for clip_id in expected], [*expected.values()]
    assert result["war"] == pytest.approx(accuracy_score(*pairs))
    assert result["uar"] == pytest.approx(balanced_accuracy_score(*pairs))
    assert (result["clips"], result["usable"], result["name"]) == (30, 27, DESCRIPTION)
    written = pl.read_parquet(table)
    assert dict(written.select("clip_id", "predicted").iter_rows()) == expected
    of_folds = written.group_by("fold").agg(war=(pl.col("label") == pl.col("predicted")).mean()).sort("fold")
    assert [group["war"] for group in result["groups"]["fold"]] == pytest.approx(of_folds["war"].to_list())
    assert result["mean"]["war"] == pytest.approx(of_folds["war"].mean())
    assert result["sd"]["war"] == pytest.approx(of_folds["war"].std())
    low, high = result["intervals"]["war"]
    assert low < result["war"] < high and result["intervals"]["drawn"] == "subjects"


def test_a_single_split_is_that_of_train_run_with_its_notes(cache, tmp_path):
    clips = [shaped(LABELS[n % 3], n, subject=f"s{n % 2}", split=("train", "test")[n > 5]) for n in range(9)]
    split = write_cache(tmp_path / "cache", clips)
    shown = made_up.done("baseline", split).stdout
    assert "landmark baseline, tested on 3 clips" in shown and "the dataset's own test split" in shown
    assert "warning: 2 subjects in both training and test clips" in shown
    assert "the baseline was trained on none of these clips" in shown
    one, other = (
        made_up.printed("baseline", cache, "--folds", "subject:5", "--seed", seed)["predictions"]
        for seed in (0, 1)
    )
    assert sorted(one) == sorted(other) and [*one] != [*other]
    plain = made_up.cache(tmp_path, "plain", [shaped(LABELS[n % 3], n) for n in range(6)])
    seen = made_up.done("baseline", plain).stdout
    assert "the training clips themselves" in seen
    assert "warning: the baseline was trained on 6 of 6 of these clips" in seen
    held = made_up.printed("baseline", plain, "--holdout", 0.5)
    assert held["clips"] == 3 and held["trained_on"] == []


def test_shared_tables_give_the_same_figures_as_the_cache(here, sample_cache, tmp_path):
    assert here("pipeline", "share", sample_cache, tmp_path / "shared").returncode == 0
    full, shared = (made_up.printed("baseline", place) for place in (sample_cache, tmp_path / "shared"))
    assert all("68 points" in result.pop("notes")[0] for result in (full, shared))
    assert full == shared and full["clips"] == 6
    refused = made_up.refused("run", tmp_path / "shared", "--out", tmp_path / "run", *made_up.TINY)
    assert "has landmark tables but no faces" in refused


def test_several_caches_with_other_names_for_a_class_and_one_without_scores(cache, tmp_path):
    names = {"anger": "ANG", "fear": "Fear", "joy": "joy"}
    clips = [
        dataclasses.replace(shaped(label, 100 + n, scores=False), label=names[label])
        for n, label in enumerate(LABELS * 2)
    ]
    plain = made_up.cache(tmp_path, "plain", clips)
    result = made_up.printed("baseline", cache, plain, "--fold", 1)
    assert set(result["recall"]) == {"anger", "fear", "joy"} and result["clips"] == 12
    spelling, fitted = (
        next(note for note in result["notes"] if word in note) for word in ("spell", "points")
    )
    assert "ANG → anger" in spelling
    assert fitted == (
        "logistic regression, no pixels, on each clip's mean of 68 points; expression scores are left out, "
        f"because {plain} has none (`pipeline extract --blendshapes` adds them)"
    )
    run = ("run", cache, plain, "--fold", 1, "--out", tmp_path / "run", *made_up.TINY)
    assert f"\n{fitted.partition('; ')[2]}\n" in made_up.done(*run).stderr


def test_folds_of_clips_have_the_same_share_of_every_class_and_name_the_people_they_share(cache, tmp_path):
    table, clips = tmp_path / "p.parquet", pl.read_parquet(cache / "clips.parquet")
    shown = made_up.printed("baseline", cache, "--folds", "clips:4", "--predictions", table)
    written = pl.read_parquet(table)
    assert sorted(written["clip_id"]) == sorted(clips["clip_id"])
    for (label,), own in clips.group_by("label"):
        of_folds = written.filter(label=label).group_by("fold").len()["len"]
        assert len(of_folds) == 4 and of_folds.max() - of_folds.min() <= 1 and of_folds.sum() == len(own)
    assert any("subjects in both training and test clips" in note for note in shown["notes"])
    again = made_up.printed("baseline", cache, "--folds", "clips:4")
    other = made_up.printed("baseline", cache, "--folds", "clips:4", "--seed", 1)
    assert again["predictions"] == shown["predictions"] and [*other["predictions"]] != [*shown["predictions"]]


def test_without_folds_the_cache_is_named_with_what_to_do_instead(tmp_path):
    plain = made_up.cache(tmp_path, "plain", [shaped(LABELS[n % 3], n) for n in range(6)])
    assert made_up.refused("baseline", plain, "--fold", 1).endswith(
        f"--fold 1: no folds in {plain}; leave --fold out, set clips apart with --holdout 0.2, or draw folds with "
        "--folds clips:5 (`train crossval`, `train baseline`)"
    )
    assert made_up.refused("baseline", plain, "--folds", "official").endswith(
        f"no folds in {plain}; use --folds clips:5, or leave --folds out (instead of `train crossval` use "
        "`train run`)"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fold", 9), "train: --fold 9: the cache has folds 1, 2, 3"),
        ((), "train: the cache has folds 1, 2, 3; choose one with --fold"),
        (("--fold", 1, "--holdout", 0.5), "--holdout 0.5 has no effect"),
        (
            ("--folds", "nine"),
            "train: --folds nine: must be official, subject:K or clips:K, with K from 2 to 1000",
        ),
        (("--fold", 1, "--predictions", "p.txt"), "the name must end in .parquet or .csv"),
    ],
)
def test_what_cannot_be_tested_is_one_line(cache, arguments, message):
    assert message in made_up.refused("baseline", cache, *arguments)


def test_folds_and_a_fold_together_are_wrong_usage(cache):
    outcome = made_up.train("baseline", cache, "--folds", "official", "--fold", 1)
    assert outcome.exit_code == 2 and "--folds cannot be combined with --fold or --holdout" in outcome.stderr


@pytest.fixture(scope="module")
def run(cache, tmp_path_factory):
    """A run tested on fold 1, and what it printed."""
    out = tmp_path_factory.mktemp("baseline") / "run"
    return out, made_up.done("run", cache, "--out", out, "--fold", 1, *made_up.TINY)


@pytest.fixture(scope="module")
def alone(cache):
    """The baseline's own result on fold 1."""
    return made_up.printed("baseline", cache, "--fold", 1)


def line(result: dict) -> str:
    return f"to beat: {DESCRIPTION}: WAR {100 * result['war']:.2f} %, UAR {100 * result['uar']:.2f} %"


def test_a_run_keeps_the_baseline_of_its_own_split_and_shows_it(run, alone):
    out, outcome = run
    kept = pl.read_parquet(out / "baseline.parquet")
    assert dict(kept.select("clip_id", "predicted").iter_rows()) == alone["predictions"]
    assert line(alone) in outcome.stderr.splitlines() and line(alone) in outcome.stdout.splitlines()
    assert kept.columns == pl.read_parquet(out / "predictions.parquet").columns


def test_evaluate_shows_it_on_the_runs_own_test_clips_only(run, alone, cache, tmp_path):
    out, _ = run
    assert line(alone) in made_up.done("evaluate", out, cache).stdout.splitlines()
    shown = made_up.printed("evaluate", out, cache)["baseline"]
    same = ("name", "clips", "usable", "war", "uar", "war_usable", "uar_usable")
    assert shown == {name: alone[name] for name in same}
    for clips in ("train", "all"):
        assert made_up.printed("evaluate", out, cache, "--clips", clips)["baseline"] is None


def test_the_report_shows_it(run, alone, tmp_path):
    out, _ = run
    made_up.done("report", out, "--clips", 0, "--out", tmp_path / "with.html")
    text = Page((tmp_path / "with.html").read_bytes()).text
    assert f"WAR, landmark baseline {100 * alone['war']:.2f} %" in text
    assert f"{DESCRIPTION.capitalize()}: the line that a network has to beat." in text
    assert "recall, landmark baseline" in text


def test_a_run_without_landmark_tables_says_why_it_has_no_baseline(run, cache, tmp_path):
    copy = shutil.copytree(cache, tmp_path / "cache")
    shutil.rmtree(copy / "landmarks")
    out = tmp_path / "run"
    first = made_up.done("run", copy, "--out", out, "--fold", 1, *made_up.TINY)
    (why,) = [line for line in first.stderr.splitlines() if "baseline" in line]
    assert why.startswith(f"no landmark baseline: {copy}/landmarks/00000.parquet is missing or damaged (")
    assert "baseline" not in first.stdout and not (out / "baseline.parquet").exists()
    assert made_up.printed("evaluate", out, copy)["baseline"] is None
    made_up.done("report", out, "--clips", 0)
    assert "baseline" not in Page((out / "report.html").read_bytes()).text


def test_a_resumed_run_computes_what_it_lacks(run, cache, tmp_path):
    out = shutil.copytree(run[0], tmp_path / "run")
    (out / "baseline.parquet").unlink()
    (out / "confusion.png").unlink()  # so that it is unfinished
    made_up.done("run", cache, "--out", out, "--fold", 1, *made_up.TINY, "--resume")
    assert (out / "baseline.parquet").read_bytes() == (run[0] / "baseline.parquet").read_bytes()


def test_a_baseline_of_another_split_is_replaced(run, cache, tmp_path):
    out = shutil.copytree(run[0], tmp_path / "run")
    (out / "last.pt").unlink()  # stopped before its first save: any other run may take its place
    made_up.done("run", cache, "--out", out, "--fold", 2, *made_up.TINY)
    kept, tested = (
        pl.read_parquet(out / f"{name}.parquet")["clip_id"] for name in ("baseline", "predictions")
    )
    assert kept.equals(tested)


def test_a_damaged_baseline_is_one_line(run, cache, tmp_path):
    out = shutil.copytree(run[0], tmp_path / "run")
    (out / "baseline.parquet").write_bytes(b"PAR1")
    line = made_up.refused("evaluate", out, cache)
    assert f"{out / 'baseline.parquet'} is missing or damaged (" in line
    assert line.endswith("; remove it, and results are shown without a baseline")


def test_a_sweep_over_folds_starts_with_the_baseline(cache, tmp_path):
    sweep, out = tmp_path / "one.toml", tmp_path / "out"
    sweep.write_text('base = "quick"\n[[variant]]\nname = "x"\nset = { depth = 1 }\n')
    tiny = made_up.TINY[2:8] + made_up.TINY[10:]
    call = ("sweep", sweep, cache, "--out", out, "--folds", "official", *tiny)
    outcome = made_up.done(*call)
    alone = made_up.printed("baseline", cache, "--folds", "official")
    table = pl.read_csv(out / "sweep.csv")
    assert table["variant"].to_list() == ["baseline", "x"] and table["what"][0] == DESCRIPTION
    assert table["last_war"][0] == pytest.approx(alone["mean"]["war"]) and table["best_war"][0] is None
    assert table["last_uar"][0] == pytest.approx(alone["mean"]["uar"])
    assert (
        f"{100 * alone['mean']['war']:.2f}" in outcome.stdout and f"baseline: {DESCRIPTION}" in outcome.stdout
    )
    assert made_up.printed(*call)["rows"][0]["variant"] == "baseline"
    folds = pl.read_csv(out / "x" / "crossval.csv")
    assert folds.filter(fold="pooled")["baseline_war"].to_list() == pytest.approx([alone["war"]])
    assert folds.filter(fold="sd")["baseline_uar"].to_list() == pytest.approx([alone["sd"]["uar"]])
    crossval = ("crossval", cache, "--out", out / "x", "--folds", "official", *made_up.TINY[:2], *tiny)
    assert f"{line(alone)}, pooled" in made_up.done(*crossval, "--depth", 1).stdout.splitlines()
    shown = made_up.printed(*crossval, "--depth", 1)
    assert shown["baseline"]["war"] == pytest.approx(alone["war"])
    assert shown["baseline"]["name"] == DESCRIPTION
    # A variant of that name would be mistaken for it.
    sweep.write_text(sweep.read_text().replace('"x"', '"baseline"'))
    assert "other than 'baseline'" in made_up.refused(*call)
