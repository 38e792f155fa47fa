"""One upload from its first byte to the answer."""

import asyncio
import json
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from dfer.train.use.serve.limits import Limits, RefusedError, video_suffix
from dfer.train.use.serve.line import Line
from dfer.train.use.serve.worker import POLL_SECONDS, Event, Worker

BODY = "application/octet-stream"  # a form of another page cannot send it
STOPPED = "The server was stopped."
LONGEST_NAME = 100  # characters printed
DRAIN_SECONDS = 10
TOO_LARGE, TOO_SLOW = 413, 408


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What all uploads share.

    folder: private, for the videos
    stopping: whether the server is about to end
    log: called with a line for each upload
    """

    worker: Worker
    line: Line
    limits: Limits
    folder: Path
    stopping: Callable[[], bool]
    log: Callable[[str], None]


class Exchange(Response):
    """The response to an upload: 200 and lines of JSON as it is worked on, or a refusal in plain text.

    Lines: `ahead`, uploads that are answered before; `doing`, `of`, `done`; and last `answer`, a piece of
    HTML, or `refused`, a sentence.
    """

    def __init__(self, desk: Desk, request: Request) -> None:
        super().__init__()
        self._desk, self._request = desk, request
        self._arriving, self._size, self._started = True, 0, False
        self._name = request.query_params.get("name", "")

    async def __call__(self, scope: Mapping, receive: Any, send: Any) -> None:
        begin, outcome = time.monotonic(), "left before the answer"
        try:
            with self._desk.line.room():
                outcome = await self._exchange(receive, send)
        except RefusedError as error:
            outcome = f"refused: {error}"
            await self._refuse(str(error), error.status, scope, receive, send)
        except (ClientDisconnect, TimeoutError):
            pass
        except OSError as error:  # such as a full disk
            outcome = f"failed: {error.strerror}"
            await self._refuse(f"The server failed: {error.strerror}.", 500, scope, receive, send)
        finally:
            seconds = time.monotonic() - begin
            self._desk.log(f"{self._name[:LONGEST_NAME] or 'upload'}: {outcome} ({seconds:.1f} s)")

    async def _exchange(self, receive: Any, send: Any) -> str:
        with _private_folder(self._desk.folder) as folder:
            video = folder / f"video{video_suffix(self._name)}"
            await self._receive(video, receive)
            gone = asyncio.create_task(receive())  # after the body, only the connection's end can come
            try:
                answer = await self._answer(video, folder / "answer.html", gone, send)
            finally:
                gone.cancel()
        async with asyncio.timeout(self._desk.limits.timeout):  # a reader that does not read
            await self._say(send, {"answer": answer}, last=True)
        return "answered"

    async def _receive(self, video: Path, receive: Any) -> None:
        """Write the body to a file. Raises RefusedError, ClientDisconnect."""
        limits, headers = self._desk.limits, self._request.headers
        if headers.get("content-type") != BODY:
            raise RefusedError(f"Send the video itself, with the content type {BODY}.", status=415)
        if int(headers.get("content-length", "0")) > limits.bytes:
            raise RefusedError(limits.too_large, status=TOO_LARGE)
        try:
            async with asyncio.timeout(limits.timeout):
                with video.open("xb") as file:
                    async for chunk in self._body(receive):
                        file.write(chunk)
        except TimeoutError:
            raise RefusedError(
                f"The video did not arrive within {limits.timeout:g} s.", status=TOO_SLOW
            ) from None
        if not self._size:
            raise RefusedError("The file is empty.")

    async def _body(self, receive: Any) -> AsyncIterator[bytes]:
        """What is left of the body. Raises RefusedError if it is too large, ClientDisconnect."""
        while self._arriving:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            self._arriving = message.get("more_body", False)
            self._size += len(message.get("body", b""))
            if self._size > self._desk.limits.bytes:
                raise RefusedError(self._desk.limits.too_large, status=TOO_LARGE)
            yield message.get("body", b"")

    async def _refuse(self, text: str, status: int, scope: Mapping, receive: Any, send: Any) -> None:
        """Send a refusal. A browser reads it only after it has sent all, so what it may send is received first."""
        if self._started:
            await self._say(send, {"refused": text}, last=True)
            return
        if status not in (TOO_LARGE, TOO_SLOW):
            with suppress(RefusedError, ClientDisconnect, TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    async for _ in self._body(receive):
                        pass
        await PlainTextResponse(text, status)(scope, receive, send)

    async def _answer(self, video: Path, out: Path, gone: asyncio.Task, send: Any) -> str:
        """The answer to a video that has arrived, with its progress sent. Raises RefusedError, ClientDisconnect."""
        with self._desk.line.turn() as ahead:
            async with aclosing(self._events(video, out, ahead)) as events:
                async for event in events:
                    if gone.done():
                        raise ClientDisconnect
                    if self._desk.stopping():
                        raise RefusedError(STOPPED)
                    if "refused" in event:
                        raise RefusedError(str(event["refused"]))
                    if event and "answered" not in event:
                        await self._say(send, event)
        return out.read_text(encoding="utf-8")

    async def _events(self, video: Path, out: Path, ahead: Callable[[], int]) -> AsyncIterator[Event]:
        said = 0
        while before := ahead():
            yield {"ahead": before} if before != said else {}
            said = before
            await asyncio.sleep(POLL_SECONDS)
        async with aclosing(self._desk.worker.answer(video, self._name, out)) as events:
            async for event in events:
                yield event

    async def _say(self, send: Any, event: Event, last: bool = False) -> None:
        if not self._started:
            self._started = True
            headers = [(b"content-type", b"application/x-ndjson")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        line = json.dumps(event).encode() + b"\n"
        await send({"type": "http.response.body", "body": line, "more_body": not last})


@contextmanager
def _private_folder(parent: Path) -> Iterator[Path]:
    folder = parent / secrets.token_hex(8)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
