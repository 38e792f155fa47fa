import pytest

from dfer.data_manifest.problems import sentence


@pytest.mark.parametrize(
    ("text", "one"),
    [
        ("clips are in no list; they are left out", "1 clip is in no list; it is left out"),
        ("of 14 clips are listed but not on disk", "1 of 14 clips is listed but not on disk"),
        ("of 3 clips have no fold: they are never judged", "1 of 3 clips has no fold: it is never judged"),
        ("clips have a compound label and are left out", "1 clip has a compound label and is left out"),
        ("frame folders hold no image", "1 frame folder holds no image"),
        ("labels contradict their folder", "1 label contradicts its folder"),
        ("rows say again what another said; they are", "1 row says again what another said; it is"),
        (
            "clips are in folders named a, which are not read",
            "1 clip is in folders named a, which are not read",
        ),
    ],
)
def test_a_sentence_of_one_is_singular(text, one):
    assert sentence(1, text) == one and sentence(2, text) == f"2 {text}"
