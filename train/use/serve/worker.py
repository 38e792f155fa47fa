"""The process that answers uploads, one at a time. It is replaced where it dies or takes too long.

It has the model. What it sends is JSON, one object a message: `ready` once, with lines for who runs the server;
then for each job any number of events, and last `answered` or `refused`.
"""

import asyncio
import contextlib
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from dfer.schemas.support.commands import describe
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.processes import STOP_SIGNALS, safe_import_path, signals_blocked
from dfer.train.use.serve.limits import Limits, RefusedError
from dfer.train.use.serve.served import Served

POLL_SECONDS = 0.1
DIED = "the process that answers died (killed, or crashed in a library)"
LAST = {"answered", "refused"}

Event = Mapping[str, object]


class Worker:
    """The process, and the folder of its temporary files."""

    def __init__(self, served: Served, limits: Limits, folder: Path) -> None:
        """folder: does not exist yet"""
        self._served, self._limits, self._folder = served, limits, folder
        self._process: SpawnProcess | None = None

    def start(self, note: Callable[[str], None]) -> None:
        """Start the process, and wait until it has loaded the model. Raises UserError if it cannot.

        note: called with what the model says about the videos that it takes
        """
        self._start()
        while not self._ready:
            self._pipe.poll(POLL_SECONDS)
            if refused := self._next().get("refused"):
                raise UserError(str(refused))
        for line in self._notes:
            note(line)

    async def answer(self, video: Path, name: str, out: Path) -> AsyncIterator[Event]:
        """Answer a video. Use it with `aclosing`: a process that is left before its end is replaced.

        name: to show
        out: file for the answer, a piece of HTML

        Yields its events, an empty one where nothing happened for a moment; `answered` or `refused` is the last.
        A video is tried once more if the process dies before it says anything about it: it may have been killed by
        somebody else while it had nothing to do.
        """
        for last in (False, True):
            silent = True
            async with contextlib.aclosing(self._attempt(video, name, out)) as events:
                async for event in events:
                    if "died" in event and silent and not last:
                        break
                    silent = silent and not event
                    yield event
                else:
                    return

    async def _attempt(self, video: Path, name: str, out: Path) -> AsyncIterator[Event]:
        """As `answer`, once."""
        orderly = False
        try:
            while not self._ready:  # a new process loads the model
                event = self._next()
                yield event
                if "refused" in event:
                    return
                await asyncio.sleep(POLL_SECONDS)
            with contextlib.suppress(OSError):  # it has just died, as `_next` will find
                job = {"video": str(video), "name": name, "out": str(out)}
                self._pipe.send_bytes(json.dumps(job).encode())
            end = time.monotonic() + self._limits.timeout
            while True:
                event = self._next()
                orderly = bool(LAST & event.keys()) and "died" not in event
                if not event and time.monotonic() > end:
                    event = {"refused": self._too_slow}
                yield event
                if LAST & event.keys():
                    return
                if not event:
                    await asyncio.sleep(POLL_SECONDS)
        finally:
            if not orderly:
                self.stop()
                self._start()

    @property
    def _too_slow(self) -> str:
        fewer = "" if self._served.people == 1 else ", or one with fewer people"
        return f"No answer within {self._limits.timeout:g} s; try a shorter video{fewer}."

    def stop(self) -> None:
        """End the process, whatever it is doing, and remove its files. Its own workers end with it."""
        if self._process and self._process.pid:
            self._process.kill()
            self._process.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_work, args=(theirs, os.getpid(), self._served, self._limits, self._folder)
        )
        self._ready = False
        with signals_blocked(*STOP_SIGNALS), safe_import_path():
            self._process.start()
        theirs.close()

    def _next(self) -> Event:
        """What it has sent next; empty if nothing."""
        try:
            event = json.loads(self._pipe.recv_bytes()) if self._pipe.poll() else {}
        except (EOFError, OSError):
            return {"refused": f"No answer for this video: {DIED}.", "died": True}
        if "ready" in event:
            self._ready, self._notes = True, event["ready"]
            return {}
        return event


def _work(pipe: Connection, parent: int, served: Served, limits: Limits, folder: Path) -> None:
    """Answer jobs until the process is ended."""
    from dfer.pipeline.run.workers import prepare_process

    prepare_process(parent)
    os.environ["TMPDIR"], tempfile.tempdir = str(folder), None

    def tell(event: Event) -> None:
        pipe.send_bytes(json.dumps(event).encode())

    from dfer.train.use.extraction import People, Watch, settings_for
    from dfer.train.use.predict import load
    from dfer.train.use.serve.answer import answer_video

    try:
        predictor = load(served.run, checkpoint=served.checkpoint, device=served.device)
        # What would refuse every video is found before the first.
        notes: list[str] = []
        watch, people = Watch(on_note=notes.append), People(number=served.people)
        settings_for(predictor.model, served.frames_show, watch, people)
    except Exception as error:
        tell({"refused": describe(error)})
        return
    tell({"ready": notes})
    while True:
        job = json.loads(pipe.recv_bytes())
        try:
            page = answer_video(predictor, Path(job["video"]), job["name"], served, limits, tell)
            Path(job["out"]).write_text(page, encoding="utf-8")
            tell({"answered": True})
        except RefusedError as error:
            tell({"refused": str(error)})
        except Exception as error:
            tell({"refused": _failure(error)})


def _failure(error: Exception) -> str:
    """Why there is no answer, for whoever sent the video: no path of this machine, no flag of a command."""
    cause = error.__cause__ if isinstance(error, UserError) else error
    if isinstance(cause, OSError) and cause.strerror:  # such as a full disk
        return f"The server failed: {cause.strerror}."
    reason = str(error) if isinstance(error, UserError) else f"internal error: {type(error).__name__}"
    return f"No answer for this video: {reason}."
