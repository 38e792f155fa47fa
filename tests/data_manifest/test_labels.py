import polars as pl

from data_manifest.labels import canonical, canonical_name, match_labels


def test_synonyms_in_any_case_and_unknown_words_as_they_are():
    names = ["ANG", " Happy", "fea", "Sad", "SURPRISED", "neu", "disgust", "Bored ", None]
    known = pl.DataFrame({"n": names}).select(canonical(pl.col("n"))).to_series().to_list()
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


def test_the_same_spelling_comes_first():
    assert match_labels(["joy", "happy"], ["happy", "joy", "happiness"]) == {
        "happy": "happy",
        "joy": "joy",
        "happiness": "joy",
    }
