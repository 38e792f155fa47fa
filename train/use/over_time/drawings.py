"""What `train predict` draws of its answers: the files that --plot and --annotate name."""

from collections.abc import Callable, Sequence
from pathlib import Path

from dfer.schemas.cache import OK
from dfer.schemas.html.page import page_target
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import write_atomic, writing
from dfer.schemas.support.text import counted
from dfer.train.results.run_folder import output_file
from dfer.train.use.extraction import Watch
from dfer.train.use.over_time.annotate import annotate_video
from dfer.train.use.over_time.timeline import MOST_CLIPS, Timeline, timeline_png, timelines
from dfer.train.use.over_time.timeline_page import ORIGIN, timeline_page
from dfer.train.use.over_time.windows import Windows
from dfer.train.use.predict import Predictor
from dfer.train.use.prediction import Prediction

Draw = Callable[[Sequence[Prediction], Predictor, Windows, Watch], bool]


def drawings_of(plot: Path | None, annotate: Path | None, inputs: Sequence[str]) -> list[tuple[Path, Draw]]:
    """Check the files to draw, before anything is predicted.

    inputs: what is predicted

    Returns each file with the function that draws it, which returns whether there was something to draw.
    Raises UserError for a file that cannot be written, or must not be.
    """
    found: list[tuple[Path, Draw]] = []
    if plot:
        target = output_file(plot, "--plot", (".png", ".html"))
        if target.suffix.lower() == ".html":
            page_target(plot, ORIGIN, own=True)
        found.append((plot, _plotter(target)))
    if annotate:
        target = output_file(annotate, "--annotate", (".mp4",))
        if len(inputs) != 1 or not Path(inputs[0]).is_file():
            raise UserError(
                "--annotate draws into one video; give its file alone as INPUT, no cache or folder"
            )
        if target == Path(inputs[0]).resolve():
            raise UserError(f"--annotate {annotate} is the video itself; choose another name")
        found.append((annotate, _annotator(target)))
    return found


def _plotter(target: Path) -> Draw:
    def draw(found: Sequence[Prediction], predictor: Predictor, windows: Windows, watch: Watch) -> bool:
        drawn = _to_draw(found, watch, f"{target.name} is not written")
        if not drawn:
            return False
        if target.suffix.lower() == ".html":
            refused = sum(each.status != OK and each.start_s is None for each in found)
            content = timeline_page(drawn, predictor.labels, windows, predictor.model.name, refused)
        else:
            if len(drawn) > MOST_CLIPS:
                watch.on_note(
                    f"{target.name} shows the first {MOST_CLIPS} of {len(drawn)} timelines; .html shows all"
                )
            content = timeline_png(drawn[:MOST_CLIPS], predictor.labels)
        with writing(f"the plot {target}", "another --plot"):
            write_atomic(target, content)
        return True

    return draw


def _annotator(target: Path) -> Draw:
    def draw(found: Sequence[Prediction], _predictor: Predictor, _windows: Windows, watch: Watch) -> bool:
        drawn = _to_draw(found, watch, f"{target.name} is not written")
        if not drawn:
            return False
        clips = len({each.clip for each in drawn})
        if clips > 1:  # of a table
            raise UserError(f"--annotate draws one video, but {counted(clips, 'clip')} were given; give one")
        with writing(f"the video {target}", "another --annotate"):
            annotate_video(drawn[0].predictions[0].path, drawn, target, watch)
        return True

    return draw


def _to_draw(found: Sequence[Prediction], watch: Watch, consequence: str) -> list[Timeline]:
    drawn = timelines(found)
    if not drawn:
        watch.on_note(f"no clip has both an answer and times; {consequence}")
    return drawn
