"""What the command line itself says, before and beside the work."""

import sys

import pytest
from click.testing import CliRunner
from made_up import TINY, cache, clip, done

from dfer.train.cli import main


def described(columns: str) -> list[str]:
    arguments = ["describe", "--preset", "quick", "--image-size", "32"]
    outcome = CliRunner().invoke(main, arguments, env={"COLUMNS": columns})
    assert outcome.exit_code == 0, outcome.stderr
    return outcome.stdout.splitlines()


def test_the_table_of_parts_is_whole_in_80_columns():
    lines = described("80")
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80 and "…" not in text
    assert "keypoint_features" in text and "backbone.layer4" in text and "8×18×512," in text


def test_a_terminal_that_claims_no_columns_shows_as_much_as_one_that_claims_nothing():
    assert described("0") == described("")


@pytest.mark.parametrize("flags", [("--class-weights", "inverse"), ("--sampling", "balanced")])
def test_one_correction_of_rare_classes_is_no_warning_and_two_are_one(tmp_path, flags):
    source = cache(tmp_path, "c", [clip("ab"[n % 2], n, fold=n // 2 + 1) for n in range(4)])
    said = done("run", source, "--out", tmp_path / "one", *TINY, "--fold", 1, *flags).stderr
    assert "favoured twice" not in said
    both = ("--class-weights", "inverse", "--sampling", "balanced")
    for name, call in (
        ("run", ("run", source, "--fold", 1, *TINY, *both)),
        ("crossval", ("crossval", source, "--folds", "official", *TINY, *both)),
    ):
        said = done(*call, "--out", tmp_path / name).stderr
        (line,) = [line for line in said.splitlines() if "favoured twice" in line]
        assert line.startswith("warning: --class-weights inverse and --sampling balanced")


def test_tensorboard_that_is_not_installed_is_said_before_anything_is_read(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    arguments = ["run", str(tmp_path / "no cache"), "--out", str(tmp_path / "run"), "--tensorboard"]
    outcome = CliRunner().invoke(main, arguments, prog_name="train")
    assert outcome.stderr == "train: --tensorboard needs an extra: pip install '.[tensorboard]'\n"
    assert outcome.exit_code == 1
