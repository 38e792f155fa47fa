"""`train report`: the page of a run, and what it does with damaged or missing files."""

import base64
import dataclasses
import io
import json
import re

import made_up
import numpy as np
import polars as pl
import pytest
from html_page import Page, check_harmless, cut_off_on_a_phone, dom_in_chromium, needs_chromium
from linked_copy import linked_copy
from PIL import Image
from synthetic_cache import SyntheticClip, write_cache

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=document.title=1>', "$x_1$ & co")
SECTIONS = (
    *("Learning curves", "Results", "Clip features", "Temporal attention", "Key-point weights"),
    *("Clips", "Settings and versions"),
)


@pytest.fixture(scope="module")
def report(here, small_run, tmp_path_factory):
    run = linked_copy(small_run, tmp_path_factory.mktemp("report") / "run")
    outcome = here("train", "report", run)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.startswith(f"{run / 'report.html'}: 0.")
    return (run / "report.html").read_bytes()


def test_the_page_has_every_section_and_nothing_active(report, small_run):
    page = Page(report)
    check_harmless(page)
    assert all(title in page.text for title in SECTIONS)
    origin = json.loads((small_run / "run.json").read_text())
    for known in ("crema-d", origin["clips_hash"], *origin["labels"], *origin["versions"].values()):
        assert known in page.text
    assert origin["caches"][0] not in page.text
    pictures = [image["alt"] for image in page.all("img")]
    assert sum(alt.startswith("frame ") for alt in pictures) == 6 * 4  # four frames of each of the six clips
    assert pictures.count("key-point maps") == pictures.count("W_a") == 6
    assert len(page.all("circle")) == 6 * 18
    for chart in (
        "losses",
        "confusion matrix of the last epoch",
        "confusion matrix of the best epoch",
        "t-SNE",
        "attention over",
    ):
        assert any(alt.startswith(chart) for alt in pictures), chart
    for image in page.all("img"):
        encoded = image["src"].partition(",")[2]
        decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"))
        assert np.ptp(decoded) > 50, image["alt"]  # not blank


def test_the_page_has_the_figures_of_the_run(report, small_run):
    rows = pl.read_csv(small_run / "metrics.csv")
    text = Page(report).text
    last = rows.row(-1, named=True)
    assert f"WAR, epoch 2 (last) {100 * last['test_war']:.2f} %" in text
    best = rows.sort("test_war", "test_uar", descending=True, maintain_order=True).row(0, named=True)
    assert f"(best) {100 * best['test_war']:.2f} %" in text
    predictions = pl.read_parquet(small_run / "predictions.parquet")
    correct = (predictions["label"] == predictions["predicted"]).sum()
    incorrect_at = text.index("Incorrectly classified")
    assert text[text.index("Correctly classified") : incorrect_at].count(", predicted ") == correct
    assert text[incorrect_at:].count(", predicted ") == 6 - correct


@pytest.mark.parametrize(
    ("flags", "measured", "test_curves"),
    [
        (
            (),
            "frames drawn at random from the clips while",
            "after each epoch; so they differ, although the test",
        ),
        (
            ("--flip", "--ema-decay", 0.9),
            "augmented clips while",
            "with the moving average of the weights; so they",
        ),
    ],
)
def test_the_page_says_how_the_curves_of_the_run_were_measured(tmp_path, flags, measured, test_curves):
    cache, run = (
        made_up.cache(tmp_path, "made", [made_up.clip("ab"[n % 2], n) for n in range(4)]),
        tmp_path / "run",
    )
    made_up.done("run", cache, "--out", run, *made_up.TINY, *flags)
    made_up.done("report", run, "--clips", 0)
    text = Page((run / "report.html").read_bytes()).text
    assert f"Training curves are measured on {measured}" in text and test_curves in text
    if not flags:
        assert "augmented" not in text


def test_the_page_is_reproducible_and_no_file_of_the_run_changes(here, small_run, report, tmp_path):
    before = {p.name: p.stat().st_mtime_ns for p in small_run.iterdir() if p.is_file()}
    outcome = here("train", "report", small_run, "--out", tmp_path / "again.html", "--json")
    assert json.loads(outcome.stdout) == {"report": str(tmp_path / "again.html"), "bytes": len(report)}
    assert (tmp_path / "again.html").read_bytes() == report
    assert {p.name: p.stat().st_mtime_ns for p in small_run.iterdir() if p.is_file()} == before


def test_a_page_replaces_no_other_file(here, small_run, report, tmp_path):
    run, out = linked_copy(small_run, tmp_path / "run", "settings.toml"), tmp_path / "page.html"
    for place, kept in ((out, b"mine"), (run / "report.html", b"<html>mine")):
        place.write_bytes(kept)
        outcome = here("train", "report", run, "--clips", 0, *(("--out", out) if place == out else ()))
        assert outcome.returncode == 1 and outcome.stderr.count("\n") == 1
        assert (
            "exists and is not an older report of the same" in outcome.stderr and place.read_bytes() == kept
        )
    out.write_bytes(report)
    assert here("train", "report", run, "--clips", 0, "--out", out).returncode == 0
    out.write_bytes(report)
    with (run / "settings.toml").open("a") as settings:
        settings.write("# another run of the same cache")
    outcome = here("train", "report", run, "--clips", 0, "--out", out)
    assert outcome.returncode == 1 and out.read_bytes() == report


def test_without_clips_the_page_shows_no_faces(here, small_run, tmp_path):
    outcome = here(
        "train", "report", small_run, "--clips", 0, "--checkpoint", "best", "--out", tmp_path / "r.html"
    )
    assert outcome.returncode == 0, outcome.stderr
    page = Page((tmp_path / "r.html").read_bytes())
    assert not any(image["src"].startswith("data:image/jpeg") for image in page.all("img"))
    assert "Left out: this report was made with --clips 0." in page.text


@pytest.fixture(scope="module")
def strange_run(here, small, tmp_path_factory):
    """A run without graph and transformer, on clips whose labels are markup; no test clip has a face."""
    folder, random = tmp_path_factory.mktemp("strange"), np.random.default_rng(0)
    keypoints = np.full((4, 18, 2), 16.0)
    clips = [
        SyntheticClip(
            label=HOSTILE[n % 3],
            crops=random.integers(0, 256, (4, 32, 32, 3), np.uint8),
            keypoints=keypoints,
            split="train",
        )
        for n in range(6)
    ]
    clips += [SyntheticClip(label=HOSTILE[n % 3], split="test") for n in range(3)]
    cache = write_cache(folder / "cache", clips)
    plain = ("--graph", "none", "--temporal", "mean", "--epochs", 1)
    outcome = here("train", "run", cache, "--out", folder / "run", *small, *plain)
    assert outcome.returncode == 0, outcome.stderr
    return folder / "run"


def test_labels_are_escaped_and_test_clips_without_a_face_are_reported(here, strange_run):
    outcome = here("train", "report", strange_run)
    assert outcome.returncode == 0, outcome.stderr
    page = Page((strange_run / "report.html").read_bytes())
    check_harmless(page)
    assert all(label in page.text for label in HOSTILE)
    assert page.text.count("Left out: no test clip is usable.") == 4


def test_parts_that_a_network_lacks_are_named(here, sample_cache, small, tmp_path):
    run = tmp_path / "run"
    plain = ("--graph", "layer", "--temporal", "lstm", "--epochs", 1)
    assert here("train", "run", sample_cache, "--out", run, *small, *plain).returncode == 0
    assert here("train", "report", run).returncode == 0
    page = Page((run / "report.html").read_bytes())
    assert "This network does not say how much it attends to each frame." in page.text
    assert "This network gives key-points no weights." in page.text
    assert not page.all("rect")  # no bars of attention


@needs_chromium
def test_clips_without_a_face_in_any_frame_that_the_network_takes_get_no_attention(tmp_path):
    unseen = [
        dataclasses.replace(made_up.clip("ab"[n % 2], n, split=split), found=np.zeros(2, bool))
        for n, split in enumerate(("train", "train", "test", "test"))
    ]
    cache, run = made_up.cache(tmp_path, "unseen", unseen), tmp_path / "run"
    made_up.done("run", cache, "--out", run, *made_up.TINY, "--mask-missing")
    made_up.done("report", run)
    assert "frame 1: 0.0 % of the attention" in (run / "report.html").read_text()


def test_nothing_is_cut_off_on_a_phone(report, tmp_path):
    assert cut_off_on_a_phone(report, tmp_path) == ""


def test_settings_are_in_words(report):
    text = Page(report).text
    assert "split no fold and no holdout" in text and "stage strides 1, 2, 2, 2" in text
    assert not re.search(r"\bNone\b(?![.:])|\bTrue\b|\bFalse\b|[\[({]'", text)


@needs_chromium
def test_chromium_opens_the_page_and_runs_no_script(report, tmp_path):
    dom = dom_in_chromium(report, tmp_path)
    assert "<title>Run: run</title>" in dom
    assert dom.count("<img ") == len(Page(report).all("img"))


def test_a_moved_cache_can_be_given_and_another_one_is_refused(here, small_run, sample_cache, tmp_path):
    run = linked_copy(small_run, tmp_path / "run", "run.json")
    origin = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**origin, "caches": [str(tmp_path / "gone")]}))
    outcome = here("train", "report", run)
    assert outcome.returncode == 1 and outcome.stderr.count("\n") == 1
    assert (
        f"the cache of {run} is not at {tmp_path / 'gone'}; give its new place with --cache" in outcome.stderr
    )
    other = linked_copy(sample_cache, tmp_path / "other", "cache.json")
    info = json.loads((other / "cache.json").read_text())
    (other / "cache.json").write_text(json.dumps({**info, "settings_hash": "0" * 64}))
    outcome = here("train", "report", run, "--cache", other)
    assert outcome.returncode == 1 and "it was extracted with other settings" in outcome.stderr
    assert here("train", "report", run, "--cache", sample_cache, "--clips", 0).returncode == 0


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda run: (run / "run.json").unlink(), "run.json is missing or damaged"),
        (lambda run: (run / "last.pt").unlink(), "no checkpoint"),
        (
            lambda run: (run / "predictions.parquet").write_bytes(b"x"),
            "predictions.parquet is missing or damaged",
        ),
        (lambda run: (run / "report.html").mkdir(), "is a folder; give a file name"),
    ],
)
def test_a_missing_or_damaged_file_is_one_line(here, small_run, tmp_path, break_it, message):
    run = linked_copy(small_run, tmp_path / "run", "predictions.parquet")
    break_it(run)
    outcome = here("train", "report", run)
    assert outcome.returncode == 1, outcome.stderr
    assert message in outcome.stderr and outcome.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *(("run.json", {key: value}) for key, value in (
            ("caches", "here"), ("caches", [1]), ("notes", 3), ("notes", [["a"]]), ("labels", [1, 2]),
            ("versions", ["1.0"]), ("split", {"holdout": 7}), ("split", [1]),
        )),
        ("run.json", '{"split": {}}'),
        ("weights.json", "{"),
        ("weights.json", "[1]"),
        ("weights.json", "\xff"),
    ],
)  # fmt: skip
def test_damaged_json_of_a_run_is_one_line_that_names_the_file(here, small_run, tmp_path, name, change):
    run = linked_copy(small_run, tmp_path / "run", "run.json")
    if isinstance(change, dict):
        change = json.dumps({**json.loads((run / name).read_text()), **change})
    (run / name).write_text(change, encoding="latin-1")
    outcome = here("train", "report", run)
    (line,) = outcome.stderr.splitlines()
    assert outcome.returncode == 1 and line.startswith(f"train: {run / name} is ") and "damaged" in line
