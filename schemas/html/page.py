"""One HTML page that needs nothing else and shows no script: what the reports of both programs look like.

Everything in it that comes from a cache or a run is text that a stranger may have chosen: `markup.tag` escapes it,
and a content security policy forbids scripts and requests even if that failed.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from dfer.schemas.html.markup import Html, join, tag
from dfer.schemas.support.files import target_file, write_atomic

STYLE = Path(__file__).with_name("page.css")


def document(kind: str, name: str, overview: Html, sections: Mapping[str, Html]) -> bytes:
    """A page, UTF-8: a title of two parts, what is seen first, and sections by their titles, with links to them."""
    style = STYLE.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    ids = {title: title.lower().replace(" ", "-") for title in sections}
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        # The policy holds quotes, which are escaped like any other attribute's.
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{kind}: {name}"),
        Html(f"<style>{style}</style>"),
    )
    links = [tag("li", tag("a", title, href=f"#{anchor}")) for title, anchor in ids.items()]
    body = tag(
        "body",
        tag("header", tag("h1", f"{kind}: ", tag("span", name)), overview),
        tag("nav", tag("ul", *links), aria_label="Sections"),
        tag(
            "main",
            *(tag("section", tag("h2", title), part, id=ids[title]) for title, part in sections.items()),
        ),
    )
    return ("<!doctype html>\n" + tag("html", head, body, lang="en") + "\n").encode()


def tiles(pairs: Iterable[tuple[str, str]]) -> Html:
    """Names and values, large: what is seen first."""
    return tag(
        "dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs), class_="tiles"
    )


def picture(content: bytes, alt: str, kind: str = "png", **attributes: Any) -> Html:
    """A PNG or JPEG inside the page. alt: for those who cannot see it."""
    source = Html(f"data:image/{kind};base64,{base64.b64encode(content).decode()}")
    return tag("img", src=source, alt=alt, loading="lazy", **attributes)


def facts(tables: Mapping[str, Mapping[Any, Any]]) -> Html:
    """Tables of names and values, each under its title."""
    return join(
        *(
            tag(
                "table",
                tag("caption", title),
                tag(
                    "tbody",
                    *(
                        tag("tr", tag("th", str(name), scope="row"), tag("td", str(value), class_="path"))
                        for name, value in rows.items()
                    ),
                ),
            )
            for title, rows in tables.items()
        )
    )


def write_page(out: Path, page: bytes, as_json: bool) -> None:
    """Write a page whole or not at all, and print where it is."""
    write_atomic(target_file(out), page)
    if as_json:
        click.echo(json.dumps({"report": str(out), "bytes": len(page)}, indent=2))
    else:
        click.echo(f"{out}: {len(page) / 1e6:.1f} MB; open it in any browser")
