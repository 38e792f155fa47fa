import base64
import io
import json
import shutil

import numpy as np
import polars as pl
import pytest
from html_page import Page, check_harmless, dom_in_chromium, needs_chromium
from PIL import Image
from synthetic_cache import SyntheticClip, write_cache

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=document.title=1>', "$x_1$ & co")
SECTIONS = (
    *("Learning curves", "Figures", "Clip features", "Temporal attention", "Key-point weights"),
    *("Clips", "What made this run"),
)


@pytest.fixture(scope="module")
def report(here, small_run, tmp_path_factory):
    run = shutil.copytree(small_run, tmp_path_factory.mktemp("report") / "run")
    outcome = here("train", "report", run)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.startswith(f"{run / 'report.html'}: 0.")
    return (run / "report.html").read_bytes()


def test_a_run_becomes_one_harmless_page_with_every_section(report, small_run):
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
        "confusion matrix of the last",
        "confusion matrix of the best",
        "t-SNE",
        "attention over",
    ):
        assert any(alt.startswith(chart) for alt in pictures), chart
    for image in page.all("img"):
        encoded = image["src"].partition(",")[2]
        decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"))
        assert np.ptp(decoded) > 50, image["alt"]  # there is something to see on it


def test_the_figures_are_those_of_the_run(report, small_run):
    rows = pl.read_csv(small_run / "metrics.csv")
    text = Page(report).text
    last = rows.row(-1, named=True)
    assert f"WAR, epoch 2 (last) {100 * last['test_war']:.2f} %" in text
    best = rows.sort("test_war", "test_uar", descending=True, maintain_order=True).row(0, named=True)
    assert f"(best) {100 * best['test_war']:.2f} %" in text
    predictions = pl.read_parquet(small_run / "predictions.parquet")
    right = (predictions["label"] == predictions["predicted"]).sum()
    wrong_at = text.index("Told wrongly")
    assert text[text.index("Told rightly") : wrong_at].count(", predicted ") == right
    assert text[wrong_at:].count(", predicted ") == 6 - right


def test_the_same_run_gives_the_same_page_and_none_of_its_files_change(here, small_run, report, tmp_path):
    before = {p.name: p.read_bytes() for p in small_run.iterdir() if p.is_file()}
    outcome = here("train", "report", small_run, "--out", tmp_path / "again.html", "--json")
    assert json.loads(outcome.stdout) == {"report": str(tmp_path / "again.html"), "bytes": len(report)}
    assert (tmp_path / "again.html").read_bytes() == report
    assert {p.name: p.read_bytes() for p in small_run.iterdir() if p.is_file()} == before


def test_no_faces_are_shown_where_none_are_asked_for(here, small_run, tmp_path):
    outcome = here(
        "train", "report", small_run, "--clips", 0, "--checkpoint", "best", "--out", tmp_path / "r.html"
    )
    assert outcome.returncode == 0, outcome.stderr
    page = Page((tmp_path / "r.html").read_bytes())
    assert not any(image["src"].startswith("data:image/jpeg") for image in page.all("img"))
    assert "Left out: the report was asked for no clips." in page.text


@pytest.fixture(scope="module")
def strange_run(here, small, tmp_path_factory):
    """A run of a network without graph and transformer, on clips whose labels are markup, some without a face."""
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


def test_hostile_labels_absent_parts_and_a_test_part_without_faces_are_said(here, strange_run):
    outcome = here("train", "report", strange_run)
    assert outcome.returncode == 0, outcome.stderr
    page = Page((strange_run / "report.html").read_bytes())
    check_harmless(page)
    assert all(label in page.text for label in HOSTILE)
    assert page.text.count("No test clip is usable, so there is nothing to look at.") == 4


def test_a_network_without_graph_and_transformer_says_so(here, sample_cache, small, tmp_path):
    run = tmp_path / "run"
    plain = ("--graph", "layer", "--temporal", "lstm", "--epochs", 1)
    assert here("train", "run", sample_cache, "--out", run, *small, *plain).returncode == 0
    assert here("train", "report", run).returncode == 0
    page = Page((run / "report.html").read_bytes())
    assert "This network has no temporal transformer." in page.text
    assert "This network's key-point graph passes no messages." in page.text
    assert not page.all("rect")  # no bars of attention


@needs_chromium
def test_chromium_opens_the_page_and_runs_nothing_of_it(report, tmp_path):
    dom = dom_in_chromium(report, tmp_path)
    assert "<title>Run: run</title>" in dom
    assert dom.count("<img ") == len(Page(report).all("img"))


def test_a_moved_cache_is_asked_for_and_another_one_refused(
    here, small_run, sample_cache, scored_cache, tmp_path
):
    run = shutil.copytree(small_run, tmp_path / "run")
    origin = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**origin, "caches": [str(tmp_path / "gone")]}))
    outcome = here("train", "report", run)
    assert outcome.returncode == 1 and outcome.stderr.count("\n") == 1
    assert f"the cache of {run} is not at {tmp_path / 'gone'}; say with --cache where it is" in outcome.stderr
    outcome = here("train", "report", run, "--cache", scored_cache)
    assert outcome.returncode == 1 and "it was extracted with other settings" in outcome.stderr
    assert here("train", "report", run, "--cache", sample_cache).returncode == 0


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda run: (run / "run.json").unlink(), "run.json is missing or damaged"),
        (lambda run: (run / "run.json").write_text('{"split": {}}'), "run.json is missing or damaged"),
        (lambda run: (run / "last.pt").unlink(), "no checkpoint"),
        (
            lambda run: (run / "predictions.parquet").write_bytes(b"x"),
            "predictions.parquet is missing or damaged",
        ),
        (lambda run: (run / "report.html").mkdir(), "is a folder; name a file in it"),
    ],
)
def test_what_is_missing_or_damaged_is_one_line(here, small_run, tmp_path, break_it, message):
    run = shutil.copytree(small_run, tmp_path / "run", ignore=shutil.ignore_patterns("report.html"))
    break_it(run)
    outcome = here("train", "report", run)
    assert outcome.returncode == 1, outcome.stderr
    assert message in outcome.stderr and outcome.stderr.count("\n") == 1


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *(("run.json", {key: value}) for key, value in (
            ("caches", "here"), ("caches", [1]), ("notes", 3), ("notes", [["a"]]), ("labels", [1, 2]),
            ("versions", ["1.0"]), ("split", {"holdout": 7}), ("split", [1]),
        )),
        ("weights.json", DEEP),
        ("weights.json", "{"),
        ("weights.json", "[1]"),
        ("weights.json", "\xff"),
    ],
)  # fmt: skip
def test_json_of_a_run_that_is_damaged_is_one_line_that_names_it(here, small_run, tmp_path, name, change):
    run = shutil.copytree(small_run, tmp_path / "run")
    if isinstance(change, dict):
        change = json.dumps({**json.loads((run / name).read_text()), **change})
    (run / name).write_text(change, encoding="latin-1")
    outcome = here("train", "report", run)
    (line,) = outcome.stderr.splitlines()
    assert outcome.returncode == 1 and line.startswith(f"train: {run / name} is ") and "damaged" in line


def test_a_folder_of_several_runs_asks_for_one_of_them(here, small_run, tmp_path):
    for number in (1, 2):
        shutil.copytree(small_run, tmp_path / f"fold_{number}")
    outcome = here("train", "report", tmp_path)
    assert outcome.returncode == 1 and outcome.stderr.count("\n") == 1
    assert f"holds several runs; give one of them, such as {tmp_path / 'fold_1'}" in outcome.stderr
