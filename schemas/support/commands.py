"""What both command lines share: one line for an error, `--debug` for its traceback, fixed exit codes.

0 done, 1 wrong input or failure, 2 wrong usage (click's own), 3 `--strict`, 128 + the number of the signal that
stopped it (129 SIGHUP, 130 Ctrl-C, 138 SIGUSR1, 143 SIGTERM).
"""

import functools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dfer.schemas.support.errors import Interrupted, UserError
from dfer.schemas.support.files import FULL
from dfer.schemas.support.processes import job_signals_raise
from dfer.schemas.support.start import command_runs


class Program(click.Group):
    """A click group whose commands take `--debug` and show no traceback without it."""

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
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:  # closed by the caller, but libraries write to it
                setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
            # A terminal with another encoding replaces what it cannot show.
            getattr(sys, name).reconfigure(errors="replace")
        if os.environ.get("COLUMNS") == "0":  # set by some terminals without a size; tables would be empty
            del os.environ["COLUMNS"]
        try:
            command_runs()
            with job_signals_raise():
                return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            after_echo = "\n" if sys.stderr.isatty() else ""  # the terminal has just printed ^C
            advice = ctx.meta.get("interrupted", "")
            click.echo(f"{after_echo}{ctx.info_name}: interrupted{advice}", err=True)
            sys.exit(128 + (stop.number if isinstance(stop, Interrupted) else signal.SIGINT))
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.meta.get("debug"):
                raise
            line = _unprinted(error) or describe(error)
            click.echo(f"{ctx.info_name}: {printable(line)}", err=True)
            sys.exit(1)


def resumable(command: Callable[..., None]) -> Callable[..., None]:
    """Mark a command that continues where it was interrupted, and say so when it is."""

    @functools.wraps(command)
    def call(*args: Any, **kwargs: Any) -> None:
        click.get_current_context().meta["interrupted"] = "; run the same command again to continue"
        command(*args, **kwargs)

    return call


def print_result(as_json: bool, content: Callable[[], Any], print_tables: Callable[[], None]) -> None:
    """Print a command's result: `content` as JSON, or its tables."""
    if as_json:
        click.echo(json.dumps(content(), indent=2))
    else:
        print_tables()


def describe(error: Exception) -> str:
    """Describe an error in one line."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{where}"
    first_line = str(error).split("\n")[0]
    return f"internal error: {type(error).__name__}: {first_line} (--debug shows the traceback)"


def _unprinted(error: Exception) -> str | None:
    """Describe an error that came because there is no room where the standard output leads; None for any other."""
    if not isinstance(error, OSError) or error.filename or error.errno not in FULL:
        return None
    try:
        print(flush=True)  # fails again
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # Python writes what is left when it ends
        os.close(nowhere)
        return f"cannot write to the standard output: {error.strerror}; make room, then run the same command again"
    return None


def printable(line: str) -> str:
    """Escape characters that would break a line or control the terminal: it may quote any file's content."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _remember_debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.meta["debug"] = value
