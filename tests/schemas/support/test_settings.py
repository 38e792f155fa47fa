from dataclasses import dataclass

import click
import pytest
from click.testing import CliRunner

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.options import SettingsCommand, from_flags, setting_options
from dfer.schemas.support.settings import Settings, setting


@dataclass(frozen=True, kw_only=True)
class Example(Settings):
    count: int = setting(3, "how many", low=1, high=10)
    share: float = setting(0.5, "a share", low=0)
    kind: str = setting("a", "which kind", choices=("a", "b"))
    strides: tuple[int, ...] = setting((1, 2), "strides", low=1, high=2)
    fast: bool = setting(False, "go faster")
    path: str | None = None


def test_values_get_the_type_of_their_field():
    made = Example(share=1, strides=[2, 1])
    assert (made.share, type(made.share), made.strides) == (1.0, float, (2, 1))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 0}, "--count 0: must be between 1 and 10"),
        ({"count": 2.5}, "--count 2.5: must be an integer"),
        ({"count": True}, "--count true: must be an integer"),
        ({"share": -1}, "--share -1.0: must be at least 0"),
        ({"share": float("nan")}, "--share nan: must be at least 0"),
        ({"share": float("inf")}, "--share inf: must be a finite number"),
        ({"share": 10**400}, "--share: the number is too large"),
        ({"kind": "c"}, "--kind c: must be one of a, b"),
        ({"kind": 1}, "--kind 1: must be text"),
        ({"strides": 1}, "--strides 1: must be a list of numbers"),
        ({"strides": (1, 3)}, "--strides 3: must be between 1 and 2"),
        ({"fast": 1}, "--fast 1: must be true or false"),
        ({"kind": "x" * 1000}, f"--kind {'x' * 60}…: must be one of a, b"),
    ],
)
def test_a_wrong_value_names_its_flag(values, message):
    with pytest.raises(UserError) as caught:
        Example(**values)
    assert str(caught.value) == message


@pytest.fixture
def call():
    """call("--count", "4") → the record made from the flags, or the help text."""

    @click.command(cls=SettingsCommand)
    @setting_options(Example, "Settings of the example")
    def command(**flags):
        click.echo(from_flags(Example, flags))

    return lambda *arguments: CliRunner().invoke(command, arguments)


def test_every_field_has_a_flag_and_the_others_keep_their_default(call):
    assert call().output.strip() == str(Example())
    given = call("--count", "4", "--share", "0", "--kind", "b", "--strides", "2,2", "--fast").output.strip()
    assert given == str(Example(count=4, share=0.0, kind="b", strides=(2, 2), fast=True))


def test_the_help_shows_defaults_limits_and_choices_in_their_section(call):
    section = " ".join(call("--help").output.split("Settings of the example:")[1].split())
    for part in (
        "How many. [default: 3; 1<=x<=10]",
        "[default: 0.5; x>=0]",
        "[a|b]",
        "[default: 1,2; 1<=x<=2]",
    ):
        assert part in section
    assert "--path" not in section


@pytest.mark.parametrize(
    ("flag", "message"), [(("--kind", "c"), "'c' is not one of"), (("--strides", "x"), "such as 1,2")]
)
def test_a_flag_that_cannot_be_read_is_wrong_usage(call, flag, message):
    outcome = call(*flag)
    assert outcome.exit_code == 2 and message in outcome.output
