"""HTML and SVG in which text cannot become markup: every string is escaped unless `tag` made it."""

import html
import unicodedata
from typing import Any

MAX_CHARACTERS = 500  # shown of one text; a value in a damaged file may have a megabyte
# These reorder the characters that follow: with one, a label could read as another label.
REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
VOID = frozenset({"br", "img", "input", "link", "meta"})


class Html(str):
    """A string that is markup. Only `tag`, `join` and constants of this program make one."""

    __slots__ = ()


def text(value: Any) -> Html:
    """Turn any value into text of a page: escaped, control characters spelled out, cut after MAX_CHARACTERS."""
    content = str(value)
    if len(content) > MAX_CHARACTERS:
        content = f"{content[:MAX_CHARACTERS]}… ({len(content)} characters)"
    if not content.isprintable():
        content = "".join(map(_visible, content))
    return Html(html.escape(content))


def tag(name: str, /, *children: str | None, **attributes: Any) -> Html:
    """An element. Children that are not Html are escaped; None is left out.

    Attributes: `class_` becomes class, `stroke_width` stroke-width; values are escaped; None is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{value if isinstance(value, Html) else text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def join(*parts: str | None) -> Html:
    """Join pieces; those that are not Html are escaped."""
    return Html("".join(part if isinstance(part, Html) else text(part) for part in parts if part is not None))


def _visible(character: str) -> str:
    # Cc: control characters; Cs: halves of a character, which UTF-8 cannot hold.
    if character in REORDERING or unicodedata.category(character) in {"Cc", "Cs"}:
        return character.encode("unicode_escape").decode()
    return character
