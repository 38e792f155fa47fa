"""What the command line of `train` does itself: tables for narrow terminals, and warnings about settings."""

import pytest
from click.testing import CliRunner

from dfer.train.cli import main
from dfer.train.config import preset_names


def describe(columns: str, *arguments: str) -> list[str]:
    """The lines of `train describe` on a terminal of this width."""
    arguments = ["describe", *(arguments or ("--preset", "quick", "--image-size", "32"))]
    outcome = CliRunner().invoke(main, arguments, env={"COLUMNS": columns})
    assert outcome.exit_code == 0, outcome.stderr
    return outcome.stdout.splitlines()


def test_the_table_of_parts_fits_into_80_columns():
    lines = describe("80")
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80 and "…" not in text
    assert "keypoint_features" in text and "backbone.layer4" in text and "8×18×512," in text


@pytest.mark.parametrize("preset", preset_names())
def test_the_table_of_every_preset_fits_into_80_columns(preset):
    lines = describe("80", "--preset", preset)
    assert max(map(len, lines)) <= 80 and "…" not in "".join(lines)


def test_a_part_that_is_called_piece_by_piece_has_the_multiply_adds_of_its_pieces():
    parts = {
        line.split()[0]: line for line in describe("80", "--preset", "former-dfer") if line.endswith("G  ")
    }
    giga = {name: float(line.split()[-2]) for name, line in parts.items()}
    assert giga["backbone"] > 7 and abs(sum(giga.values()) - 2 * giga["network"]) < 0.01


def test_a_terminal_of_zero_columns_is_treated_like_one_of_unknown_width():
    assert describe("0") == describe("")


@pytest.mark.parametrize("command", ["run", "crossval"])
@pytest.mark.parametrize(
    ("flags", "warns"),
    [
        (("--class-weights", "inverse"), False),
        (("--sampling", "balanced"), False),
        (("--logit-adjustment", 1), False),
        (("--class-weights", "inverse", "--sampling", "balanced"), True),
        (("--class-weights", "inverse", "--sampling", "balanced", "--logit-adjustment", 1), True),
    ],
)
def test_two_corrections_of_class_frequencies_are_a_warning_and_one_is_not(
    here, tmp_path, command, flags, warns
):
    folds = ("--folds", "official") if command == "crossval" else ()
    outcome = here("train", command, tmp_path / "missing", "--out", tmp_path / "out", *folds, *flags)
    *notes, error = outcome.stderr.splitlines()
    assert "no such cache" in error
    named = ("--class-weights inverse", "--sampling balanced")
    assert [note.startswith("warning: ") and all(name in note for name in named) for note in notes] == [
        True
    ] * warns
    assert all(f"--logit-adjustment {number}" in note for note in notes for number in flags[5:])
