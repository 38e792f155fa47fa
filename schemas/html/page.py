"""The HTML page of both programs' reports: one file, no scripts, no outside resources.

Everything in it that comes from a cache or a run may have been chosen by anybody: `markup.tag` escapes it, and a
content security policy forbids scripts and requests even if that failed.
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
    """Build a page in UTF-8.

    kind, name: the two parts of the title, such as "Cache" and its path
    overview: shown first
    sections: title → content; the page links to each
    """
    style = STYLE.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    ids = {title: title.lower().replace(" ", "-") for title in sections}
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        # The quotes of the policy are escaped like those of any other attribute.
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


def key_figures(pairs: Iterable[tuple[str, str]]) -> Html:
    """Show the most important names and values in large type."""
    return tag(
        "dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs), class_="tiles"
    )


def picture(content: bytes, alt: str, kind: str = "png", **attributes: Any) -> Html:
    """Embed a PNG or JPEG. alt: a description for those who cannot see it."""
    source = Html(f"data:image/{kind};base64,{base64.b64encode(content).decode()}")
    return tag("img", src=source, alt=alt, loading="lazy", **attributes)


def fact_tables(tables: Mapping[str, Mapping[Any, Any]]) -> Html:
    """Show tables of names and values, each with its title."""
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
    """Write a page atomically and print its path."""
    write_atomic(target_file(out), page)
    if as_json:
        click.echo(json.dumps({"report": str(out), "bytes": len(page)}, indent=2))
    else:
        click.echo(f"{out}: {len(page) / 1e6:.1f} MB; open it in any browser")
