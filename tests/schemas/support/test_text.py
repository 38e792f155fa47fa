from dfer.schemas.support.text import counted


def test_one_is_singular_and_none_is_not():
    assert [counted(n, "clip") for n in (0, 1, 2)] == ["0 clips", "1 clip", "2 clips"]
