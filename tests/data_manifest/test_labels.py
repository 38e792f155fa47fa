import re
import unicodedata

import polars as pl
import pytest
import trees

from dfer.data_manifest.datasets import read_manifest
from dfer.data_manifest.labels import canonical_name, canonical_names, match_labels, meanings, merge_spellings
from dfer.schemas.support.errors import UserError


def test_synonyms_get_canonical_names_and_unknown_words_stay():
    names = ["ANG", " Happy", "fea", "Sad", "SURPRISED", "neu", "disgust", "Bored ", None]
    known = pl.DataFrame({"n": names}).select(canonical_names(pl.col("n"))).to_series().to_list()
    assert known == ["anger", "happiness", "fear", "sadness", "surprise", "neutral", "disgust", "Bored", None]
    assert [canonical_name(name) for name in names if name] == known[:-1]


def test_labels_of_two_datasets_are_matched_by_meaning():
    own = ["Angry", "Happy", "Sad", "bored"]
    assert match_labels(own, ["sadness", "anger", "HAP", "contempt", "Bored", "Sad"]) == {
        "sadness": "Sad",
        "anger": "Angry",
        "HAP": "Happy",
        "contempt": None,
        "Bored": "bored",
        "Sad": "Sad",
    }


def test_an_equal_spelling_is_matched_before_an_equal_meaning():
    assert match_labels(["joy", "happy"], ["happy", "joy", "happiness"]) == {
        "happy": "happy",
        "joy": "joy",
        "happiness": "joy",
    }


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (["disgust_anger", "anger_disgust", "Angry-Disgusted"], "anger_disgust"),
        (["very happy", "very_happy", "Very-Happy"], "very_happy"),
        ([unicodedata.normalize("NFD", "Gêné"), "gêné"], "gêné"),
    ],
)
def test_spellings_of_one_label_are_merged_and_reported(written, name):
    rows = pl.DataFrame({"label": [*written, "not_happy", None]})
    merged, (problem,) = merge_spellings(rows)
    assert merged["label"].to_list() == [*[name] * len(written), "not_happy", None]
    assert problem.kind == "labels" and f"→ {name}" in problem.text
    assert rows.select(meanings(pl.col("label"))).to_series().n_unique() == 3
    assert match_labels([written[0]], [written[1]]) == {written[1]: written[0]}


def test_a_label_with_one_spelling_stays_as_written_but_in_composed_form():
    labels = ["disgust_anger", "Very Happy", "-1", "1", "é"]
    rows = pl.DataFrame({"label": [unicodedata.normalize("NFD", label) for label in labels]})
    merged, problems = merge_spellings(rows)
    assert merged["label"].to_list() == labels and not problems


def test_a_dataset_without_a_known_label_is_refused_with_what_was_found_and_expected(root):
    trees.build_dfew(root, [])
    for file in (root / "EmoLabel_DataSplit").rglob("*.csv"):
        file.write_text(re.sub(r",\d", ",77", file.read_text()))
    with pytest.raises(
        UserError, match=r"found 77 \(clip 00001 …\), expected 1, 2, .*, 7; fix the lists, or"
    ):
        read_manifest(root)
