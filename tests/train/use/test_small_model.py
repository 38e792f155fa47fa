"""The small model: real faces, a plain formula, clips without a face, damaged files."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from linked_copy import linked_copy
from PIL import Image
from safetensors.numpy import load, save

from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import open_pool, usable
from dfer.train.use.small_model import FILE, as_bytes, default_model, read_model

EIGHT = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")


@pytest.fixture(scope="module")
def model():
    return default_model()


def predict(model, cache):
    """Labels of the usable clips, and their probabilities."""
    pool = open_pool(cache)
    clips, done = usable(pool.clips), []
    found = model.probabilities(pool, clips, done.append)
    assert sum(done) == len(clips)
    return clips["label"].to_list(), found


def frames(count, seed=0):
    """Scores and landmarks of made-up frames."""
    random = np.random.default_rng(seed)
    return random.random((count, 52)), random.uniform(20, 100, (count, 68, 2))


def test_it_answers_on_the_six_sample_clips(model, scored_cache):
    labels, found = predict(model, scored_cache)
    assert found.shape == (6, 8) and model.labels == EIGHT
    np.testing.assert_allclose(found.sum(1), 1)
    assert (found > 0).all()
    answers = {label: model.labels[row.argmax()] for label, row in zip(labels, found, strict=True)}
    assert answers["happiness"] == "happiness" and answers["neutral"] == "neutral"
    happiness = dict(zip(labels, found[:, EIGHT.index("happiness")], strict=True))
    assert (
        happiness["happiness"] > 0.8 > 0.6 > max(happiness[label] for label in labels if label != "happiness")
    )


def test_a_smiling_face_is_happy(model, here, astronaut, tmp_path):
    (tmp_path / "stills" / "happy").mkdir(parents=True)
    Image.fromarray(astronaut).save(tmp_path / "stills" / "happy" / "astronaut.png")
    outcome = here("pipeline", "extract", tmp_path / "stills", "--out", tmp_path / "cache", "--blendshapes")
    assert outcome.returncode == 0, outcome.stderr
    _, (found,) = predict(model, tmp_path / "cache")
    assert found[EIGHT.index("happiness")] > 0.8


def plain_log_probabilities(numbers, scores, points):
    """One frame, number by number."""
    features = [math.log(p / (1 - p)) for p in (min(max(float(s), 0.001), 0.999) for s in scores)]
    (ax, ay), (bx, by) = points[36:42].mean(0), points[42:48].mean(0)
    length = math.hypot(bx - ax, by - ay)
    cosine, sine = (bx - ax) / length, (by - ay) / length
    middle = points.mean(0)
    turned = []
    for x, y in points - middle:
        turned += [cosine * x + sine * y, cosine * y - sine * x]
    size = math.sqrt(sum(value * value for value in turned) / len(turned))
    features += [value / size for value in turned]
    standard = [
        (f - float(m)) / float(d)
        for f, m, d in zip(features, numbers["mean"], numbers["deviation"], strict=True)
    ]

    def layer(name, values):
        rows = zip(
            numbers[f"{name}_weights"].astype(float), numbers[f"{name}_bias"].astype(float), strict=True
        )
        return [sum(w * v for w, v in zip(weights, values, strict=True)) + bias for weights, bias in rows]

    output = layer("output", [max(value, 0.0) for value in layer("hidden", standard)])
    total = sum(math.exp(value) for value in output)
    return [value - math.log(total) for value in output]


def test_it_computes_what_a_plain_formula_does(model):
    scores, points = frames(3)
    detected = np.array([True, False, True])
    numbers = load(FILE.read_bytes())
    each = [plain_log_probabilities(numbers, scores[k], points[k]) for k in (0, 2)]
    means = [(a + b) / 2 for a, b in zip(*each, strict=True)]
    expected = np.exp(means) / np.exp(means).sum()
    found = model.clip_probabilities(scores, points, detected)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_cache_and_its_arrays_give_the_same_answer(model, scored_cache):
    _, found = predict(model, scored_cache)
    tables = pl.read_parquet(scored_cache / "landmarks" / "*.parquet")
    for clip, row in zip(open_pool(scored_cache).clips["clip_id"], found, strict=True):
        table = tables.filter(clip_id=clip)
        arrays = (table[name].to_numpy() for name in ("blendshapes", "landmarks"))
        own = model.clip_probabilities(*arrays, table["detector"].is_not_null().to_numpy())
        np.testing.assert_allclose(own, row, rtol=0.01)  # source pixels here, crop pixels there


def test_place_size_and_tilt_of_the_face_do_not_matter(model):
    scores, points = frames(2)
    found = np.ones(2, bool)
    turn = np.array([[math.cos(0.3), -math.sin(0.3)], [math.sin(0.3), math.cos(0.3)]])
    moved = 2.5 * points @ turn.T + (300, -40)
    np.testing.assert_allclose(
        model.clip_probabilities(scores, moved, found),
        model.clip_probabilities(scores, points, found),
        rtol=1e-4,
    )


def test_frames_without_a_face_or_scores_do_not_count(model):
    scores, points = frames(4)
    scores[1] = np.nan
    found = model.clip_probabilities(scores, points, np.array([True, True, False, True]))
    kept = [0, 3]
    np.testing.assert_array_equal(
        found, model.clip_probabilities(scores[kept], points[kept], np.ones(2, bool))
    )


def test_a_clip_without_any_such_frame_gets_the_most_frequent_class(model):
    scores, points = frames(2)
    for without in ((scores, points, np.zeros(2, bool)), (scores * np.nan, points, np.ones(2, bool))):
        found = model.clip_probabilities(*without)
        assert EIGHT[found.argmax()] == "neutral"
        np.testing.assert_allclose(found, model.shares, atol=1e-3)


def test_a_cache_without_expression_scores_is_one_line(model, sample_cache):
    with pytest.raises(UserError) as raised:
        predict(model, sample_cache)
    advice = "give the videos themselves, or a cache that was extracted with --blendshapes"
    lack = "has no expression scores, which the small model needs"
    assert str(raised.value) == f"{sample_cache} {lack}; {advice}"


def test_damaged_landmark_tables_are_one_line(model, scored_cache, tmp_path):
    copy = linked_copy(scored_cache, tmp_path / "cache", "00000.parquet")
    (copy / "landmarks/00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        UserError, match=r"00000.parquet is missing or damaged \(.*; extract this cache again"
    ):
        predict(model, copy)


def changed(**numbers):
    """The shipped file with other numbers; None leaves them out."""
    about = json.dumps({"labels": EIGHT})
    own = {**load(FILE.read_bytes()), **numbers}
    return save({name: each for name, each in own.items() if each is not None}, {"about": about})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", ""),
        (FILE.read_bytes()[:5000], ""),
        (b"\x93NUMPY" * 200, ""),
        (save({"mean": np.zeros(2)}), "about"),
        (changed(hidden_bias=None), "hidden_bias"),
        (changed(mean=np.zeros(3)), "mean has the shape (3,), expected (188,)"),
        (changed(hidden_bias=np.zeros(2)), "hidden_weights has the shape (128, 188), expected (2, 188)"),
        (changed(output_bias=np.full(8, np.nan)), "output_bias has a value that is NaN or Inf"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, content, message):
    path = tmp_path / "small.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        read_model(path, "install this package again")
    text = str(raised.value)
    assert text.startswith(f"{path} is missing or damaged (") and message in text
    assert text.endswith("; install this package again") and "\n" not in text


def test_its_file_says_what_it_was_trained_on_and_how_good_it_is(model):
    assert FILE.stat().st_size < 60_000
    about = model.about
    assert about["trained_on"]["dataset"] == "ferplus" and about["trained_on"]["stills"] > 20_000
    assert about["date"] and about["settings"]["units"] == 128 and about["extraction"]["blendshapes"] is True
    for figures in about["figures"]:
        assert figures["war_interval"][0] <= figures["war"] <= figures["war_interval"][1]
        assert figures["uar_interval"][0] <= figures["uar"] <= figures["uar_interval"][1]
        # Better than chance and than always the same answer, by more than the choice of clips explains.
        assert figures["war_interval"][0] > figures["most_frequent"]["war"]
        assert figures["uar_interval"][0] > max(figures["chance"], figures["most_frequent"]["uar"])


def test_the_readme_shows_the_figures_of_the_file(model):
    readme = (Path(__file__).parents[3] / "train" / "README.md").read_text()
    for figures in model.about["figures"]:
        for name in ("war", "uar"):
            value, low, high = (100 * share for share in (figures[name], *figures[f"{name}_interval"]))
            assert f"| {value:.1f} ({low:.1f}–{high:.1f}) |" in readme
    for label, recall in model.about["figures"][0]["recall"].items():
        assert f"{label} {100 * recall:.1f} %" in readme.replace("\n", " ")


def test_written_and_read_it_stays_the_same(model, tmp_path):
    path = tmp_path / "again.safetensors"
    path.write_bytes(as_bytes(model))
    assert path.read_bytes() == FILE.read_bytes()
    assert read_model(path).about == model.about


def test_it_answers_without_torch():
    program = (
        "import sys, numpy; sys.modules['torch'] = None\n"
        "from dfer.train.use.small_model import default_model\n"
        "points = numpy.random.default_rng(0).random((2, 68, 2))\n"
        "model = default_model()\n"
        "print(model.clip_probabilities(numpy.full((2, 52), 0.5), points, numpy.ones(2, bool)).sum())\n"
    )
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    assert float(outcome.stdout) == pytest.approx(1)
