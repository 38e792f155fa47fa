"""The page of `train serve`. Its script is `serve.js`, its style that of all pages and `serve.css`."""

from pathlib import Path

from dfer.data_manifest.disk.file_types import VIDEO_SUFFIXES
from dfer.schemas.html.markup import Html, tag
from dfer.schemas.html.page import STYLE
from dfer.train.use.over_time.windows import DRAWN
from dfer.train.use.predict import DEFAULT
from dfer.train.use.serve.limits import Limits
from dfer.train.use.serve.served import Served

HERE = Path(__file__).parent


def style() -> str:
    """CSS."""
    return STYLE.read_text(encoding="utf-8") + (HERE / "serve.css").read_text(encoding="utf-8")


def script() -> str:
    """JavaScript."""
    return (HERE / "serve.js").read_text(encoding="utf-8")


def upload_page(served: Served, limits: Limits) -> str:
    """Make the page, where one chooses a video."""
    model = "the small model" if served.run == DEFAULT else served.run
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"Emotions over time: {model}"),
        tag("link", rel="icon", href="data:,"),
        tag("link", rel="stylesheet", href="/serve.css"),
        tag("script", src="/serve.js", defer=""),
    )
    body = tag(
        "body",
        tag("header", tag("h1", "Emotions over time: ", tag("span", model))),
        tag(
            "main",
            tag(
                "p",
                f"Names the emotion on the face of {_whom(served.people)}, in each window of {DRAWN:g} s. "
                "What a face shows is not what a person feels.",
            ),
            _drop_zone(limits),
            tag("p", id="status", role="status"),
            tag("progress", id="progress", hidden="", aria_label="Progress"),
            tag("p", tag("button", "Cancel", id="cancel", type="button", hidden="")),
            tag("p", "Wait for the answer, or cancel it.", id="wait", role="alert", hidden=""),
            tag("section", tag("h2", "Answer"), tag("div", id="answer"), id="result", tabindex=-1, hidden=""),
            tag("noscript", tag("p", "This page needs JavaScript, to send the video.", class_="warning")),
        ),
    )
    return "<!doctype html>\n" + tag("html", head, body, lang="en") + "\n"


def _whom(people: int | str) -> str:
    """Whom the page answers for."""
    from dfer.pipeline.config import ALL

    if people == ALL:
        return "everybody in the video"
    return "one person in the video" if people == 1 else f"up to {people} people in the video"


def _drop_zone(limits: Limits) -> Html:
    said = (
        f"Up to {limits.mb:g} MB and {limits.seconds:g} s. The video is sent to the computer that runs "
        "train serve and nowhere else, and deleted there when it is answered."
    )
    return tag(
        "div",
        tag("label", "Drop a video here, or choose one", for_="video"),
        tag(
            "input",
            id="video",
            type="file",
            accept=f"video/*,{','.join(sorted(VIDEO_SUFFIXES))}",
            aria_describedby="said",
        ),
        tag("small", said, id="said"),
        id="drop",
        data_most_bytes=limits.bytes,
        data_too_large=limits.too_large,
    )
