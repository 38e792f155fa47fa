from dfer.schemas.support.text import counted, first_and_more


def test_only_one_is_singular():
    assert [counted(n, "clip") for n in (0, 1, 2)] == ["0 clips", "1 clip", "2 clips"]


def test_many_names_are_the_first_and_a_count():
    assert [first_and_more(names) for names in (["a"], ["a", "b", "c"])] == ["a", "a and 2 more"]
