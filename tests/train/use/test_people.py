"""`train predict` with several people: rows, charts, and what is drawn into the video."""

import json
from dataclasses import replace

import av
import made_up
import numpy as np
import polars as pl
import pytest
from people_clips import side_by_side, two_people
from PIL import Image

from dfer import train
from dfer.train.use.over_time.overlay import Overlay
from dfer.train.use.over_time.timeline import PEOPLE, timelines

FRAMES = 40


@pytest.fixture(scope="module")
def pair(sample_clips, write_video, tmp_path_factory):
    """The astronaut on the left, an actor on the right."""
    path = tmp_path_factory.mktemp("pair") / "pair.mp4"
    return write_video(path, side_by_side(*two_people(sample_clips, FRAMES)))


@pytest.fixture(scope="module")
def drawn(pair, tmp_path_factory):
    """One call that writes all there is of the two: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("people")
    files = ("--plot", folder / "t.html", "--annotate", folder / "a.mp4", "--csv", folder / "p.csv")
    choice = ("--people", "all", "--window", 0.8, "--step", 0.4, "--workers", 1, "--keep", folder / "kept")
    outcome = made_up.train("predict", "default", pair, *choice, *files, "--json")
    assert outcome.exit_code == 0, outcome.output
    return folder, json.loads(outcome.stdout)["clips"]


def test_each_window_of_each_person_is_a_row(drawn):
    folder, rows = drawn
    assert [(row["clip"], row["person"], row["start_s"]) for row in rows] == [
        ("pair.mp4", person, start) for person in (1, 2) for start in (0, 0.4, 0.8)
    ]
    assert all(row["path"].endswith("pair.mp4") and row["status"] == "ok" for row in rows)
    table = pl.read_csv(folder / "p.csv")
    assert table.columns[:2] == ["clip", "person"] and table["person"].to_list() == [1, 1, 1, 2, 2, 2]


def test_the_answers_are_those_of_the_people_of_the_cache(drawn):
    folder, _ = drawn
    predictor = train.load("default")
    found = predictor.predict(folder / "kept")
    assert [(each.clip, each.person, each.label) for each in found] == [("pair.mp4", n, None) for n in (1, 2)]
    tables = pl.read_parquet(folder / "kept" / "landmarks" / "00000.parquet")
    for each, name in zip(found, ("pair.mp4", "pair.mp4#2"), strict=True):
        own = tables.filter(clip_id=name)
        scores, points = own["blendshapes"].to_numpy(), own["landmarks"].to_numpy()
        expected = predictor.model.clip_probabilities(scores, points, np.ones(len(own), bool))
        assert [*each.probabilities.values()] == pytest.approx(expected.tolist(), abs=1e-4)


def test_the_table_names_the_person_and_a_cache_keeps_its_people(drawn):
    folder, _ = drawn
    outcome = made_up.train("predict", "default", folder / "kept", "--people", 2, "--plot", folder / "t.png")
    assert outcome.exit_code == 0, outcome.output
    assert "person" in outcome.stdout and "caches are used as they are" in outcome.stderr
    assert (folder / "t.png").stat().st_size > 20_000


def test_the_page_has_a_chart_and_a_colour_for_each_person(drawn):
    folder, _ = drawn
    page = (folder / "t.html").read_text()
    assert page.count("data:image/png") == 2
    for number in (1, 2):
        assert f"pair.mp4, person {number}" in page and PEOPLE[number - 1] in page


def test_each_person_is_drawn_in_a_colour(drawn, pair):
    folder, _ = drawn
    with av.open(str(folder / "a.mp4")) as found:
        frame = [*found.decode(video=0)][20].to_ndarray(format="rgb24").astype(int)
    found = train.load("default").predict(folder / "kept", faces=True)
    for each, colour in zip(found, PEOPLE, strict=False):
        box = each.face.boxes[int(np.abs(each.face.times - 0.8).argmin())]
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        near = np.abs(frame - rgb).max(2) < 80
        x0, _, x1, y1 = box.round().astype(int)
        edge = near[y1 - 4 : y1 + 5, x0 + 5 : x1 - 5].any(0)
        assert edge.mean() > 0.6  # colours are stored for 2×2 pixels
    assert len(timelines(found)) == 2


def test_the_labels_of_people_in_the_same_place_do_not_hide_each_other(drawn):
    folder, _ = drawn
    found = train.load("default").predict(folder / "kept", faces=True)
    here = [replace(each, face=replace(each.face, boxes=found[0].face.boxes)) for each in found]
    blank = np.zeros((480, 640, 3), np.uint8)
    alone = [Overlay([person]).draw(blank, 0.5) for person in timelines(here)]
    together = Overlay(timelines(here)).draw(blank, 0.5)
    x0, y0, _, _ = here[0].face.boxes[0].astype(int)
    label = slice(max(y0 - 60, 0), None), slice(x0 + 4, x0 + 40)  # over the box, and over that
    for picture, colour in zip(alone, PEOPLE, strict=False):
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        areas = [(each[label] == rgb).all(2).sum() for each in (picture, together)]
        assert areas[1] > 0.6 * areas[0] > 300


def test_one_person_is_the_default_and_another_may_come_first(pair):
    predictor = train.load("default")
    (first,) = predictor.predict(pair, workers=1, faces=True)
    (largest,) = predictor.predict(pair, workers=1, faces=True, person="largest")
    assert first.person == largest.person == 1
    sides = [np.median(each.face.boxes[:, 2] - each.face.boxes[:, 0]) for each in (first, largest)]
    assert sides[1] >= sides[0]


def test_a_clip_that_shows_another_person_for_a_while_is_noted(sample_clips, write_video, tmp_path):
    astronaut, actor = two_people(sample_clips, 12)
    video, notes = write_video(tmp_path / "cut.mp4", astronaut[:7] + actor[:5]), []
    watch = train.Watch(on_note=notes.append)
    (alone,) = train.load("default").predict(video, workers=1, watch=watch)
    assert notes == ["cut.mp4: another person is shown too; --people all answers for each"]
    assert alone.person == 1


def test_the_table_names_the_person_where_several_were_asked_for_and_one_was_found(astronaut, tmp_path):
    still, kept = tmp_path / "still.png", tmp_path / "kept"
    Image.fromarray(astronaut).save(still)
    for given in ((still, "--people", "all", "--workers", 1, "--keep", kept), (kept, "--people", 2), (kept,)):
        outcome = made_up.train("predict", "default", *given)
        assert outcome.exit_code == 0, outcome.output
        assert ("person" in outcome.stdout) == ("--people" in given)
