"""The HTML page of both programs' reports: one file, no scripts, no outside resources.

Everything in it that comes from a cache or a run may have been chosen by anybody: `markup.tag` escapes it, and a
content security policy forbids scripts and requests even if that failed.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from dfer.schemas.html.markup import Html, join, tag
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import file_sha256, target_file, write_atomic, writing

GENERATOR = re.compile(rb'<meta name="generator" content="([^"]*)">')
HEAD_BYTES = 1000  # of a page; its generator is among them
STYLE = Path(__file__).with_name("page.css")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a page shows, so that a later one is known to be of the same.

    command: that makes such pages, such as "pipeline report"
    content: a hash of what it is made from
    """

    command: str
    content: str

    @classmethod
    def of_files(cls, command: str, *files: Path) -> "Origin":
        """Hash these files as the content."""
        hashes = "".join(map(file_sha256, files))
        return cls(command=command, content=hashlib.sha256(hashes.encode()).hexdigest())

    @property
    def line(self) -> str:
        return f"{self.command} {self.content}"


def document(kind: str, name: str, overview: Html, sections: Mapping[str, Html], *, origin: Origin) -> bytes:
    """Build a page in UTF-8.

    kind, name: the two parts of the title, such as "Cache" and its path
    overview: shown first
    sections: title → content; the page links to each
    origin: for `page_target`
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
        tag("meta", name="generator", content=origin.line),
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
    """Show tables of names and values, each with its title. Values are written in words (`in_words`)."""
    return join(
        *(
            tag(
                "table",
                tag("caption", title),
                tag(
                    "tbody",
                    *(
                        tag(
                            "tr", tag("th", str(name), scope="row"), tag("td", in_words(value), class_="path")
                        )
                        for name, value in rows.items()
                    ),
                ),
                class_="facts",
            )
            for title, rows in tables.items()
        )
    )


def in_words(value: Any) -> str:
    """Write a value of a settings file as a person would: none, yes, no, a list with commas."""
    if value is None or value in ((), [], {}, ""):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {in_words(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(in_words, value))
    return str(value)


def spaced(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write the names of settings as words: cache_settings_hash becomes "cache settings hash"."""
    return {name.replace("_", " "): value for name, value in facts.items()}


def page_target(out: Path, origin: Origin, *, own: bool) -> Path:
    """Check where a page is to be written: over no other file than an older page of the same.

    own: whether `out` is the place that belongs to what is shown; then an older page may differ in its content

    Returns the path with links followed.
    Raises UserError.
    """
    target = target_file(out)
    if target.exists():
        with target.open("rb") as file:
            found = GENERATOR.search(file.read(HEAD_BYTES))
        before = found[1].decode(errors="replace") if found else ""
        if not (before == origin.line or (own and before.startswith(f"{origin.command} "))):
            raise UserError(f"{out} exists and is not an older report of the same; choose another --out")
    return target


def write_page(out: Path, page: bytes, as_json: bool) -> None:
    """Write a page atomically and print its path."""
    with writing(f"the report {out}"):
        write_atomic(target_file(out), page)
    if as_json:
        click.echo(json.dumps({"report": str(out), "bytes": len(page)}, indent=2))
    else:
        click.echo(f"{out}: {len(page) / 1e6:.1f} MB; open it in any browser")
