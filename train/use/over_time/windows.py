"""Videos over time: sliding windows, and the settings that extract enough frames for them."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted, first_and_more
from dfer.train.data.caches import Pool, usable

if TYPE_CHECKING:
    from dfer.pipeline.config import ExtractConfig

OVERLAP = 4  # windows of which each moment is part, if the step is not given
MOST_FRAMES = 10_000  # kept of a video
LIMITS = {"clip_timeout": 600.0, "worker_memory": 6.0}  # of the extraction of one video
SHORTEST, LONGEST = 0.05, 3600  # seconds
ENOUGH = 0.9  # of the frames that a network takes of a clip: with fewer, a note says so
DRAWN = 2.0  # seconds, of the windows of a plot or an annotated video if nothing else is asked for


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Sliding windows. Each is predicted from the frames that a cache has of it.

    seconds: length of a window
    step: seconds from the start of a window to that of the next; by default a quarter of the length
    """

    seconds: float
    step: float | None = None

    def __post_init__(self) -> None:
        if not SHORTEST <= self.seconds <= LONGEST:
            raise UserError(f"--window {self.seconds:g}: must be between {SHORTEST} and {LONGEST} s")
        if self.step is None:
            object.__setattr__(self, "step", max(self.seconds / OVERLAP, SHORTEST))
        if not SHORTEST <= self.step <= self.seconds:
            raise UserError(
                f"--step {self.step:g}: must be between {SHORTEST} and --window ({self.seconds:g} s)"
            )

    def starts(self, duration: float) -> np.ndarray:
        """When windows start in a video (windows,), seconds; the last window ends with the video, or after it."""
        count = 1 + max(0, int(np.ceil((duration - self.seconds) / self.step - 1e-6)))
        return np.arange(count) * self.step


def windows_for(seconds: float | None, step: float | None, drawn: bool) -> Windows | None:
    """The windows that the flags --window and --step ask for, None if none; DRAWN long if the answers are drawn.

    Raises UserError.
    """
    if seconds is None and drawn:
        seconds = DRAWN
    if seconds is not None:
        return Windows(seconds=seconds, step=step)
    if step is not None:
        raise UserError("--step is between windows; give their length too, such as --window 2")
    return None


def for_windows(config: "ExtractConfig", windows: Windows, frames: int) -> "ExtractConfig":
    """The settings that keep the frames which a network needs of each window, evenly through a video.

    frames: how many frames the network takes of a clip
    """
    return dataclasses.replace(config, frames=MOST_FRAMES, rate=min(frames / windows.seconds, 1000.0))


def sparse(pool: Pool, windows: Windows, frames: int) -> str | None:
    """Say that a cache keeps too few frames for windows, for a person; None if it does not.

    frames: how many frames the network takes of a clip
    """
    clips = pool.clips.filter(pl.col("duration_s") > windows.seconds)
    kept = (clips["frames"] / clips["duration_s"]).min()
    if kept is None or kept * windows.seconds > ENOUGH * frames:
        return None
    return (
        f"{pool.where} keeps {kept:.1f} frames a second, so a window of {windows.seconds:g} s has fewer than "
        f"the {frames} that the model takes; give the videos, or extract with --rate {frames / windows.seconds:.3g} "
        f"--frames {MOST_FRAMES}"
    )


def shorter_than(pool: Pool, windows: Windows, frames: int) -> str | None:
    """Say that videos are shorter than a window, so that few frames were kept of them; None if there are none.

    frames: how many frames the network takes of a clip
    """
    rows = usable(pool.clips).filter(pl.col("duration_s").is_not_null()).iter_rows(named=True)
    described = (
        (row["clip_id"], describe_short(row["duration_s"], row["frames"], windows, frames)) for row in rows
    )
    short = {clip: text for clip, text in described if text}
    if not short:
        return None
    return f"{first_and_more([*short])}: {next(iter(short.values()))}, or choose a shorter --window"


def describe_short(seconds: float, taken: int, windows: Windows, frames: int) -> str:
    """Say that a clip is shorter than a window and gave few frames; empty if it is not so.

    seconds: its length
    taken: how many frames were taken of it
    frames: how many the network takes
    """
    if not (seconds < windows.seconds and taken < ENOUGH * frames):  # also of a length that is NaN
        return ""
    were = "was" if taken == 1 else "were"
    return (
        f"shorter than a window ({seconds:.1f} s), so {counted(taken, 'frame')} {were} taken of it, "
        f"not the {frames} of the model; expect a worse answer"
    )


def window_rows(
    clips: pl.DataFrame, times: Mapping[str, Sequence[float | None]], windows: Windows
) -> pl.DataFrame:
    """Divide clips into windows.

    clips: usable rows of a pool's table
    times: when the kept frames of each clip are shown, seconds, None where unknown

    Returns a row a window: those of the clip, and `start_s`, `end_s`, `first_frame` and `end_frame` (of the frames
    in the cache, the last is not part of it). A clip without times is one window of unknown place.
    """
    places = [
        (number, *place)
        for number, row in enumerate(clips.select("clip_id", "duration_s").iter_rows())
        for place in _places(np.array(times[row[0]], float), row[1], windows)
    ]
    names = ("row", "start_s", "end_s", "first_frame", "end_frame")
    kinds = (pl.UInt32, pl.Float64, pl.Float64, pl.Int64, pl.Int64)
    table = pl.DataFrame(places, schema=dict(zip(names, kinds, strict=True)), orient="row")
    return pl.concat([clips[table["row"]], table.drop("row")], how="horizontal")


def _places(
    times: np.ndarray, duration: float | None, windows: Windows
) -> Iterator[tuple[float | None, float | None, int, int]]:
    """Start, end, first frame and frame after the last of each window. times: (m,) seconds, NaN where unknown"""
    if not np.isfinite(times).all():
        yield None, None, 0, len(times)
        return
    end = max(float(times[-1]), duration or 0.0)
    for start in windows.starts(end):
        first, after = np.searchsorted(times, (start - 1e-6, start + windows.seconds - 1e-6))
        if first == after:  # sparse times: the nearest frame stands for the window
            first = int(np.abs(times - start - windows.seconds / 2).argmin())
            after = first + 1
        yield float(start), float(min(start + windows.seconds, end)), int(first), int(after)
