import pytest

from schemas.counted import counted


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 usable clips"), (1, "1 usable clip"), (2, "2 usable clips")]
)
def test_only_one_thing_is_singular(number, said):
    assert counted(number, "usable clip") == said
