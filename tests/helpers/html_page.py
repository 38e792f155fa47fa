"""A report as a parser and as a browser see it."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

MADE_HERE = re.compile(r"data:image/(jpeg|png);base64,[A-Za-z0-9+/=]+")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium or Chrome is installed to open the page in"
)


class Page(HTMLParser):
    """What a page holds, as Python's own parser sees it: elements, text, and whether all is closed."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.elements, self.words, self.open = [], [], []
        self.feed(content.decode())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, name):
        return [attributes for tag, attributes in self.elements if tag == name]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def check_harmless(page: Page) -> None:
    """Nothing in it can run or ask for anything."""
    assert not page.open
    assert not {tag for tag, _ in page.elements} & {"script", "u", "iframe", "object", "link", "form", "base"}
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes), (tag, attributes)
        if "src" in attributes:
            assert tag == "img" and MADE_HERE.fullmatch(attributes["src"])
        if "href" in attributes:
            assert attributes["href"].startswith("#")


def dom_in_chromium(page: bytes, folder: Path) -> str:
    """What Chromium makes of a page that ends in a script, which the page's policy must keep from running."""
    (folder / "page.html").write_bytes(
        page.replace(b"</body>", b"<script>document.title = 'ran'</script></body>")
    )
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    flags += f" --disable-component-update --disable-sync --user-data-dir={folder / 'profile'} --dump-dom"
    command = [CHROMIUM, *flags.split(), (folder / "page.html").as_uri()]
    outcome = subprocess.run(command, capture_output=True, timeout=60)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout.decode()
