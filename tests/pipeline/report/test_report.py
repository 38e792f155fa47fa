import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from html_page import Page, check_harmless, cut_off_on_a_phone, dom_in_chromium, needs_chromium

from dfer.pipeline.report.report import report_page, report_target
from dfer.schemas.support.errors import UserError

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=document.title=1>',
    "</title></style><u>",
    "'onload='x",
    "& &lt;b&gt;",
    "\u202egpj.exe",
    "a\x00\x1b[2Jb\nc",
)


def test_the_sample_cache_becomes_one_harmless_page(here, sample_cache, tmp_path):
    outcome = here("pipeline", "report", sample_cache, "--out", tmp_path / "r.html")
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.startswith(f"{tmp_path / 'r.html'}: 0.2 MB")
    content = (tmp_path / "r.html").read_bytes()
    page = Page(content)
    check_harmless(page)
    assert len(page.all("img")) == 6 * 3
    assert all(re.fullmatch(r"frame (6|17|27) of 32 of 1001_\S+\.flv", img["alt"]) for img in page.all("img"))
    assert len(page.all("circle")) == 6 * 3 * 18 and len(page.all("h1")) == 1
    info = json.loads((sample_cache / "cache.json").read_text())
    for known in (
        info["settings_hash"],
        *info["models"].values(),
        *info["versions"].values(),
        "crema-d",
        "anger",
    ):
        assert known in page.text
    for place in (str(tmp_path), str(sample_cache)):
        assert place.encode() not in content
    targets = {attributes["href"][1:] for attributes in page.all("a")}
    assert targets == {attributes["id"] for _, attributes in page.elements if "id" in attributes}


def test_the_same_cache_gives_the_same_bytes_wherever_it_is(here, sample_cache, tmp_path):
    moved = shutil.copytree(sample_cache, tmp_path / "moved")
    before = {p: p.read_bytes() for p in moved.rglob("*") if p.is_file()}
    outcome = here("pipeline", "report", moved, "--out", tmp_path / "r.html", "--json")
    said = json.loads(outcome.stdout)
    assert (tmp_path / "r.html").read_bytes() == report_page(sample_cache, 12)
    assert said == {"report": str(tmp_path / "r.html"), "bytes": (tmp_path / "r.html").stat().st_size}
    assert {p: p.read_bytes() for p in moved.rglob("*") if p.is_file()} == before


def test_hostile_text_is_shown_as_text(make_cache):
    usable = [
        {"label": text, "path": f"{text}/{i}", "source_warning": text} for i, text in enumerate(HOSTILE)
    ]
    broken = [{"label": t, "path": t, "status": "undecodable", "reason": t} for t in HOSTILE]
    named = {"dataset": HOSTILE[0], "labels": HOSTILE, "versions": dict.fromkeys(HOSTILE, HOSTILE[1])}
    named |= {
        "settings": {"size": 32, **{text: list(HOSTILE) for text in HOSTILE}},
        "settings_hash": HOSTILE[1],
    }
    content = report_page(make_cache([*usable, *broken], **named), 12)
    page = Page(content)
    check_harmless(page)
    for text in HOSTILE[:5]:
        assert page.text.count(text) >= 4, text
        assert html.escape(text).encode() in content
    assert "\\u202egpj.exe" in page.text and "a\\x00\\x1b[2Jb\\nc" in page.text
    assert not set("\u202e\x00\x1b") & set(content.decode())


def test_lone_surrogates_are_escaped_and_long_text_is_cut(make_cache):
    cache = make_cache([{"status": "no_face", "reason": "x" * 10_000}])
    info = json.loads((cache / "cache.json").read_text())
    (cache / "cache.json").write_text(json.dumps({**info, "dataset": "half \ud800"}))
    page = Page(report_page(cache, 12))
    assert "Landmark cache: half \\ud800" in page.text
    assert "… (10000 characters)" in page.text and "x" * 501 not in page.text


def test_a_cache_without_usable_clips_lists_every_clip(make_cache):
    page = Page(
        report_page(
            make_cache([{"status": "no_face", "reason": "no face", "path": f"{i}.mp4"} for i in range(9)]), 12
        )
    )
    check_harmless(page)
    assert not page.all("img") and "No usable clip, so nothing to measure." in page.text
    assert all(f"{i}.mp4" in page.text for i in range(9))


def test_caches_without_clips_or_labels_have_a_page(make_cache):
    assert "None: the cache has no clips." in Page(report_page(make_cache([], "none", labels=()), 12)).text
    page = Page(report_page(make_cache([{"frames": 1}], "one", labels=()), 12))
    check_harmless(page)
    assert len(page.all("img")) == 1 and "no label" in page.text and "All usable clips" in page.text


def test_contact_sheets_have_the_number_of_clips_asked_for(make_cache):
    cache = make_cache([{"found": 1 + i % 4, "path": f"p{i}"} for i in range(10)])
    for asked, shown in ((0, 0), (1, 3), (4, 12), (8, 8 + 2 + 8), (10, 10), (500, 10)):
        assert len(Page(report_page(cache, asked)).all("img")) == 3 * shown, asked
    flagged = [img["alt"] for img in Page(report_page(cache, 1)).all("img") if "carried over" in img["alt"]]
    assert any("p8" in alt for alt in flagged)  # the last of the clips with one face in four frames


def test_every_unusable_clip_is_listed_once_under_its_reason(make_cache):
    specs = [{"status": "undecodable", "reason": "empty", "path": f"e{i}."} for i in range(30)]
    specs += [{"status": "undecodable", "reason": f"stopped at {i}", "path": f"s{i}."} for i in range(30)]
    specs += [{"status": "quarantined", "reason": None, "path": "q."}, {"label": "b", "path": "fine"}]
    page = Page(report_page(make_cache(specs), 0))
    listed = page.text.split("Unusable clips")[-1]
    for spec in specs[:-1]:
        assert listed.count(f" {spec['path']}") == 1
    assert "fine" not in listed
    for words in (
        "undecodable: 60 clips",
        "empty (30 clips)",
        "30 rarer reasons (30 clips)",
        "no reason given",
    ):
        assert words in listed
    assert len(page.all("details")) == 3


def test_source_warnings_are_grouped_whatever_their_numbers_with_the_first_clips_of_each(make_cache):
    cut = [f"the file is cut off: it has {i} of the {90 + i} frames in its header" for i in range(12)]
    specs = [{"source_warning": text, "label": "a"} for text in cut]
    specs += [{"source_warning": "the container is damaged"}, {"status": "no_face", "source_warning": cut[0]}]
    specs += [{}, {"source_warning": "the container is damaged", "label": "b"}]
    page = Page(report_page(make_cache(specs), 0))
    check_harmless(page)
    listed = page.text.split("Source warnings")[-1].split("What made this cache")[0]
    assert listed.index(
        "the file is cut off: it has … of the … frames in its header (13 clips)"
    ) < listed.index("the container is damaged (2 clips) clip12 clip15 b")
    assert "clip3 a : the file is cut off: it has 3 of the 93 frames in its header" in listed
    assert "and 8 more" in listed and "clip5 " not in listed and "clip14" not in listed
    assert listed.count("the container is damaged") == 1


def test_an_unusable_clip_with_a_warning_has_its_status_there(make_cache):
    page = Page(report_page(make_cache([{"status": "no_face", "label": "b", "source_warning": "odd"}]), 0))
    assert "odd (1 clip) clip0 b no_face" in page.text


def test_without_a_warning_the_page_says_so(make_cache):
    assert "None: no source has a warning." in Page(report_page(make_cache([{}]), 0)).text


def test_warnings_that_all_differ_and_hostile_ones_are_a_few_harmless_groups(make_cache):
    specs = [{"source_warning": chr(ord("A") + i % 26) * (1 + i // 26)} for i in range(60)]
    specs += [
        {"source_warning": text, "clip_id": f"{i}{text}", "label": text} for i, text in enumerate(HOSTILE)
    ]
    specs += [{"source_warning": "x" * 10_000}] * 2
    page = Page(report_page(make_cache(specs), 0))
    check_harmless(page)
    listed = page.text.split("Source warnings")[-1]
    assert "rarer warnings (48 clips)" in listed and "x" * 501 not in listed
    assert len(page.all("details")) == 1 + 20


def test_a_long_label_table_is_collapsed(make_cache):
    page = Page(report_page(make_cache([{"frames": 1, "label": f"l{i}"} for i in range(31)], labels=()), 0))
    assert "Each of the 31 labels" in page.text
    check_harmless(page)


def damage(cache, name):
    """Break one thing of a cache."""
    landmarks, faces, table = (
        cache / "landmarks/00000.parquet",
        cache / "faces/00000.arrow",
        cache / "clips.parquet",
    )
    rows, clips = pl.read_parquet(landmarks), pl.read_parquet(table)
    if name == "landmarks cut":
        landmarks.write_bytes(landmarks.read_bytes()[:-30])
    elif name == "landmarks overwritten":
        content = bytearray(landmarks.read_bytes())
        content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
        landmarks.write_bytes(content)
    elif name == "landmarks gone":
        landmarks.unlink()
    elif name == "a column gone":
        rows.drop("box").write_parquet(landmarks)
    elif name == "a frame gone":
        rows[1:].write_parquet(landmarks)
    elif name == "another clip":
        rows.with_columns(clip_id=pl.lit("other")).write_parquet(landmarks)
    elif name == "not a number":
        points = rows["landmarks"].to_numpy().copy()
        points[0, 0, 0] = np.nan
        rows.with_columns(pl.Series("landmarks", points)).write_parquet(landmarks)
    elif name == "faces cut":
        faces.write_bytes(faces.read_bytes()[:200])
    elif name == "table cut":
        table.write_bytes(table.read_bytes()[:-9])
    elif name == "table contradicts itself":
        clips.with_columns(frames_with_face=pl.lit(99, pl.Int32)).write_parquet(table)
    elif name == "ids twice":
        clips.with_columns(clip_id=pl.lit("clip0")).write_parquet(table)
    elif name == "unknown status":
        clips.with_columns(status=pl.lit("great")).write_parquet(table)
    elif name == "a size of nonsense":
        info = json.loads((cache / "cache.json").read_text())
        (cache / "cache.json").write_text(json.dumps({**info, "settings": {"size": "9" * 9}}))
    elif name == "other key-points":
        info = json.loads((cache / "cache.json").read_text())
        (cache / "cache.json").write_text(json.dumps({**info, "keypoint_set": "mine"}))


DAMAGES = {
    "landmarks cut": "00000.parquet is missing or damaged",
    "landmarks overwritten": "00000.parquet is missing or damaged",
    "landmarks gone": "00000.parquet is missing or damaged",
    "a column gone": "missing or wrong columns: box",
    "a frame gone": "its number of frames does not match the clips table",
    "another clip": "its clips and frames do not match the clips table",
    "not a number": "a landmark or box is NaN or Inf",
    "faces cut": "00000.arrow, clip clip",
    "table cut": "clips.parquet is damaged",
    "table contradicts itself": "the clips table is damaged: it has 2 contradictory rows",
    "ids twice": "clips.parquet: a clip is listed twice or has no id",
    "unknown status": "the clips table is damaged",
    "a size of nonsense": "cache.json: invalid crop size",
    "other key-points": "cache.json: unknown key-point set 'mine'",
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_cache_is_refused_in_one_line(make_cache, name):
    cache = make_cache([{}, {}])
    damage(cache, name)
    with pytest.raises(UserError, match=re.escape(DAMAGES[name])) as caught:
        report_page(cache, 12)
    assert "\n" not in str(caught.value)


def jpeg(height, width):
    import simplejpeg

    return simplejpeg.encode_jpeg(np.zeros((height, width, 3), np.uint8))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<svg onload=alert(1)>", "a crop is damaged"),
        (b"", "a crop is damaged"),
        (jpeg(32, 64), "64×32 pixels, not 32×32"),
        (jpeg(32, 32)[:200], "a crop is damaged"),
    ],
)
def test_a_crop_that_is_not_a_jpeg_of_the_right_size_is_refused(make_cache, content, reason):
    with pytest.raises(UserError, match=reason):
        report_page(make_cache([{"jpeg": content}]), 12)


def test_the_metadata_of_a_crop_does_not_reach_the_page(make_cache):
    import base64

    whole = jpeg(32, 32)
    comment = b"at home, 52.1 N"
    carrying = whole[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + whole[2:]
    (img, *_) = Page(report_page(make_cache([{"jpeg": carrying}]), 12)).all("img")
    assert comment not in base64.b64decode(img["src"].split(",")[1])


def test_wrong_input_is_refused_in_one_line_and_leaves_nothing(here, make_cache, tmp_path):
    cache = make_cache([{"clip_id": "a\nb\x1b[2J"}])
    (cache / "faces" / "00000.arrow").write_bytes(b"")
    calls = {
        "00000.arrow, clip a\\nb\\x1b[2J: ": [cache, "--out", tmp_path / "r.html"],
        "is inside the cache": [cache, "--out", cache / "report.html"],
    }
    for message, arguments in calls.items():
        outcome = here("pipeline", "report", *arguments)
        assert outcome.returncode == 1 and outcome.stdout == "", (message, outcome)
        (line,) = outcome.stderr.splitlines()
        assert line.startswith("pipeline: ") and message in line
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache"] and not (cache / "report.html").exists()


def test_an_output_that_cannot_be_a_page_is_refused(make_cache, tmp_path):
    cache = make_cache([{}])
    (tmp_path / "link").symlink_to(cache)
    for place, message in {
        cache / "faces" / "r.html": "is inside the cache",
        tmp_path / "link" / "r.html": "is inside the cache",
        tmp_path / "missing" / "r.html": "no such folder",
        tmp_path: "is a folder; give a file name",
    }.items():
        with pytest.raises(UserError, match=message):
            report_target(cache, place)
    assert report_target(cache, tmp_path / "r.html") == tmp_path / "r.html"


def test_the_page_is_written_next_to_the_cache_and_replaces_only_its_own_kind(
    here, make_cache, tmp_path, monkeypatch
):
    cache = make_cache([{}])
    target = tmp_path / "cache-report.html"
    for where, name in ((tmp_path, "cache"), (tmp_path, "cache/"), (cache, "."), (Path("/"), cache)):
        monkeypatch.chdir(where)
        outcome = here("pipeline", "report", name)
        assert outcome.returncode == 0 and "cache-report.html: " in outcome.stdout, outcome.stderr
        page = target.read_bytes()
        target.unlink()
    target.write_bytes(page)
    shutil.copytree(make_cache([{}, {}], "more"), cache, dirs_exist_ok=True)  # it has grown since
    names = {path.name for path in cache.iterdir()}
    assert here("pipeline", "report", cache, "--clips", 0).returncode == 0
    assert target.read_bytes() != page
    for content in (b"<!doctype html>mine", b"", page.replace(b"pipeline report", b"train report")):
        target.write_bytes(content)
        outcome = here("pipeline", "report", cache)
        (line,) = outcome.stderr.splitlines()
        assert outcome.returncode == 1 and "exists and is not an older report of the same" in line
        assert target.read_bytes() == content
    assert {path.name for path in cache.iterdir()} == names


def test_elsewhere_a_page_replaces_only_one_of_the_same_cache(here, make_cache, tmp_path):
    cache, other = make_cache([{}]), make_cache([{}, {}], "other")
    out = tmp_path / "page.html"
    for _ in range(2):
        assert here("pipeline", "report", cache, "--out", out).returncode == 0
    page = out.read_bytes()
    assert here("pipeline", "report", other, "--out", out).returncode == 1 and out.read_bytes() == page


@needs_chromium
def test_nothing_is_cut_off_on_a_phone(make_cache, tmp_path):
    kinds = ("ok", "no_face", "undecodable", "quarantined")
    long = "a_long_name_of_a_clip_without_a_blank_" * 3
    rows = [{"label": "happiness", "status": kind, "reason": long, "path": long} for kind in kinds]
    files = {"dlib_face_recognition_resnet_model_v1.dat": "f" * 64}
    page = report_page(make_cache(rows, models=files, labels=("happiness", "disappointment")), 12)
    assert cut_off_on_a_phone(page, tmp_path) == ""


@needs_chromium
def test_chromium_shows_the_page_and_runs_no_script(make_cache, tmp_path):
    specs = [{"label": text, "path": f"{i}{text}"} for i, text in enumerate(HOSTILE)]
    cache = make_cache([*specs, {"status": "no_face", "reason": HOSTILE[1], "path": HOSTILE[0]}])
    page = report_page(cache, 12)
    dom = dom_in_chromium(page, tmp_path)
    assert "<title>Landmark cache: made up</title>" in dom
    assert dom.count("<img ") == len(Page(page).all("img")) == 7 * 3
    assert (
        dom.count("<script") == 1
        and dom.count("onerror=document") == dom.count("&lt;img src=x onerror=document") > 0
    )
