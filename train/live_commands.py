"""The commands of `train` that use a trained model until they are ended: `live`, `serve`."""

from pathlib import Path

import click

from dfer.schemas.support.commands import printable
from dfer.schemas.support.options import JSON_OPTION, Number
from dfer.train import options
from dfer.train.options import PATH, TEXT
from dfer.train.use_commands import INPUT, LIMITS, PEOPLE


@click.command(epilog=LIMITS)
@click.argument("run")
@click.argument("source")
@options.CHECKPOINT
@click.option(
    "--window",
    metavar="SECONDS",
    type=float,
    default=2.0,
    show_default=True,
    help="What an answer is about: the last seconds.",
)
@INPUT
@click.option(
    "--out", metavar="FOLDER", type=PATH, help="Write each frame here, with what is seen in it drawn in."
)
@options.DEVICE
@JSON_OPTION
def live(
    run: str,
    source: str,
    which: str,
    window: float,
    frames_show: str | None,
    out: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """Name the emotion in front of a camera, with the network of a RUN or with `default`.

    SOURCE is a camera's number (0 is the first) or a video, which is played at its own speed. The frames are shown in
    a window where there is a display; q ends it. Frames that come too fast are dropped, never queued. --json prints
    an object for each answer.
    """
    from contextlib import closing

    from dfer.train.use import live_screen
    from dfer.train.use.extraction import Watch
    from dfer.train.use.live import Pace, source_of
    from dfer.train.use.live import live as moments_of
    from dfer.train.use.predict import load
    from dfer.train.use.show import note

    played, pace, written = source_of(source), Pace(), live_screen.IntoFolder(out) if out else None
    model = load(run, checkpoint=which, device=device).model
    shows = [live_screen.Lines(as_json).show]
    shows += [written.show] if written else []
    shows += [live_screen.in_window()] if live_screen.has_display(note) else []
    moments = moments_of(model, played, window=window, frames_show=frames_show, watch=Watch(on_note=note))
    try:
        with closing(moments):
            for moment in moments:
                pace.note(moment)
                picture = (
                    live_screen.drawn(moment, model.keypoints) if len(shows) > 1 else moment.seen.frame.pixels
                )
                if not all(show(picture, moment) for show in shows):
                    break
    finally:
        if pace.frames:
            click.echo(pace.text(), err=True)
        if written and written.frames:
            click.echo(printable(written.line), err=as_json)


@click.command(epilog=LIMITS)
@click.argument("run")
@options.CHECKPOINT
@INPUT
@PEOPLE
@click.option(
    "--host",
    type=TEXT,
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; the default is reached from this machine only.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any free port."
)
@click.option(
    "--max-mb",
    type=Number(min=0, min_open=True),
    default=200,
    show_default=True,
    help="Refuse larger files.",
)
@click.option(
    "--max-seconds",
    type=Number(min=0, min_open=True),
    default=120,
    show_default=True,
    help="Refuse longer videos.",
)
@click.option(
    "--timeout",
    type=Number(min=0, min_open=True),
    default=300,
    show_default=True,
    help="Seconds in which a video must arrive, and then be answered.",
)
@options.DEVICE
def serve(
    run: str,
    which: str,
    frames_show: str | None,
    people: int | str,
    host: str,
    port: int,
    max_mb: float,
    max_seconds: float,
    timeout: float,
    device: str,
) -> None:
    """Serve a local page that takes a video and shows the emotion over time.

    It uses the network of a RUN, or with `default` the small model of this package. Videos are answered one after
    the other, in a process of its own, and deleted. Needs the extra `serve`: pip install '.[serve]'
    """
    from dfer.train.use.serve.limits import Limits
    from dfer.train.use.serve.served import Served
    from dfer.train.use.serve.server import serve as serve_page
    from dfer.train.use.show import note

    served = Served(run=run, checkpoint=which, device=device, frames_show=frames_show, people=people)
    serve_page(served, Limits(mb=max_mb, seconds=max_seconds, timeout=timeout), host, port, note)
