"""What both command lines promise: one line for an error, `--debug` for its traceback, fixed exit codes.

0 done, 1 wrong input or failure, 2 wrong usage (click's own), 130 interrupted, 143 terminated (SIGTERM).
"""

import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dfer.schemas.support.errors import Interrupted, UserError
from dfer.schemas.support.processes import sigterm_raises


class Program(click.Group):
    """A click group whose commands all take `--debug` and show no traceback without it."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        debug = click.Option(
            ["--debug"],
            is_flag=True,
            expose_value=False,
            callback=_remember_debug,
            help="Show the traceback of an error.",
        )
        cmd.params.append(debug)
        super().add_command(cmd, name)

    def invoke(self, ctx: click.Context) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # a terminal of another encoding shows what it can
                stream.reconfigure(errors="replace")
        if os.environ.get("COLUMNS") == "0":  # as some terminals without a size say: tables would be empty
            del os.environ["COLUMNS"]
        if sys.stderr is None:  # closed by the caller; libraries write to it all the same
            sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
        try:
            with sigterm_raises():
                return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            after_echo = "\n" if sys.stderr.isatty() else ""  # the terminal has just shown ^C
            advice = ctx.meta.get("interrupted", "")
            click.echo(f"{after_echo}{ctx.info_name}: interrupted{advice}", err=True)
            sys.exit(128 + (stop.number if isinstance(stop, Interrupted) else signal.SIGINT))
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.meta.get("debug"):
                raise
            click.echo(f"{ctx.info_name}: {printable(describe(error))}", err=True)
            sys.exit(1)


def resumable(command: Callable[..., None]) -> Callable[..., None]:
    """A command that goes on where it was interrupted, and says so."""

    @functools.wraps(command)
    def call(*args: Any, **kwargs: Any) -> None:
        click.get_current_context().meta["interrupted"] = "; the same command goes on from here"
        command(*args, **kwargs)

    return call


def describe(error: Exception) -> str:
    """One line for an error: its own words where a user is meant to read them, else its kind and place."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{where}"
    first_line = str(error).split("\n")[0]
    return f"internal error: {type(error).__name__}: {first_line} (--debug shows the traceback)"


def printable(line: str) -> str:
    """A line in which what would break it or steer the terminal is spelled out: it may quote a stranger's file."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _remember_debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.meta["debug"] = value
