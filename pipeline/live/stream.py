"""`dfer.pipeline.FaceStream`: the face in a camera's frames, found in a process of its own."""

import contextlib
import multiprocessing
import os
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self

from dfer.pipeline.clip import warm_up
from dfer.pipeline.config import ExtractConfig, RunOptions
from dfer.pipeline.live.follow import FaceFollower, LiveFace
from dfer.pipeline.live.frames import Camera, LiveFrame, NewestFrame
from dfer.pipeline.run.workers import prepare_process
from dfer.pipeline.setup.models import ModelPaths, obtain_all
from dfer.schemas.keypoints import DLIB18, KeypointSet
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.processes import STOP_SIGNALS, signals_blocked

ENDED = "the process that finds faces ended (killed, or crashed in a library); start again"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A frame and the face in it.

    frame: as it came
    face: None where there is none
    """

    frame: LiveFrame
    face: LiveFace | None


class FaceStream:
    """The frames of a camera or a played file, each with the face in it. Use it as a context manager.

    A process of its own reads and searches them, so that a crash there is an error here, libraries print nothing,
    and it has a core for itself. At most one searched frame waits; frames that come meanwhile are dropped.
    """

    def __init__(
        self,
        source: Camera | str | os.PathLike,
        config: ExtractConfig | None = None,
        options: RunOptions | None = None,
        keypoints: KeypointSet = DLIB18,
    ) -> None:
        """Start the process.

        source: a camera's number, or a video file
        config: settings of the crops [default: those of `pipeline extract`]
        options: folder of the models
        keypoints: which key-points to compute

        Raises UserError if the model files cannot be had.
        """
        options = options or RunOptions()
        models = obtain_all(options.models_folder)
        played = source if isinstance(source, int) else Path(source)
        context = multiprocessing.get_context("spawn")
        self._frames, theirs = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_search,
            args=(theirs, os.getpid(), played, config or ExtractConfig(), models, keypoints),
            daemon=True,
        )
        with signals_blocked(*STOP_SIGNALS):
            self._process.start()
        theirs.close()

    def next(self, timeout: float = 0.1) -> Seen | None:
        """Wait for the next frame.

        timeout: seconds; None is returned if no frame came in this time

        Raises EOFError at the end of the source, UserError if it cannot be read, or if the process ended, and
        whatever else was raised there.
        """
        if not self._frames.poll(timeout):
            return None
        try:
            found = self._frames.recv()
        except (EOFError, OSError):
            raise UserError(ENDED) from None
        if found is None:
            raise EOFError
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._frames.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()


def _search(
    out: Connection,
    parent: int,
    source: Camera | Path,
    config: ExtractConfig,
    models: ModelPaths,
    keypoints: KeypointSet,
) -> None:
    """Send what is seen in each frame, then None; or an error. It runs in the process."""
    prepare_process(parent)
    with contextlib.suppress(BrokenPipeError):  # the reader is gone
        try:
            warm_up(config, models)
            follower, newest = FaceFollower(config, models, keypoints), NewestFrame(source)
            while frame := newest.take():
                out.send(Seen(frame=frame, face=follower.find(frame.pixels, frame.seconds)))
            out.send(None)
        except BrokenPipeError:
            raise
        except Exception as error:
            error.add_note(traceback.format_exc())  # for --debug
            out.send(error)
    os._exit(0)  # MediaPipe's own end takes longer
