"""Check a report with a parser and in a browser."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

EMBEDDED = re.compile(r"data:image/(jpeg|png);base64,[A-Za-z0-9+/=]+")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium or Chrome is installed to open the page in"
)

# A page around the one that is measured: a window of Chromium is at least 500 px wide, a frame is not.
MEASURE = """<!doctype html><title>not measured</title><body>
<iframe src="inner.html" style="width: 390px; height: 900px; border: 0"></iframe><script>
onload = () => {
  const inner = document.querySelector("iframe").contentDocument, found = [];
  inner.querySelectorAll("details").forEach(each => each.open = true);
  for (const each of inner.querySelectorAll("body *")) {
    if (each.getBoundingClientRect().right > 391) found.push("out: " + each.tagName + " " + each.textContent);
    if (each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX != "visible")
      found.push("scrolls: " + each.className + " " + each.textContent);
  }
  for (const key of inner.querySelectorAll("th, dt")) {
    const words = inner.createTreeWalker(key, NodeFilter.SHOW_TEXT);
    while (words.nextNode()) for (const word of words.currentNode.data.matchAll(/\\S+/g)) {
      const range = inner.createRange();
      range.setStart(words.currentNode, word.index);
      range.setEnd(words.currentNode, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(box => box.top)).size > 1) found.push("broken: " + word[0]);
    }
  }
  document.title = found.map(each => each.slice(0, 80)).join("; ");
}
</script></body>"""


class Page(HTMLParser):
    """A page as Python's parser sees it: elements, text, and elements that are still open."""

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
    """Nothing in the page can run, or load anything."""
    assert not page.open
    assert not {tag for tag, _ in page.elements} & {"script", "u", "iframe", "object", "link", "form", "base"}
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes), (tag, attributes)
        if "src" in attributes:
            assert tag == "img" and EMBEDDED.fullmatch(attributes["src"])
        if "href" in attributes:
            assert attributes["href"].startswith("#")


def dom_in_chromium(page: bytes, folder: Path) -> str:
    """Open a page in Chromium with a script added, which the page's policy must block; return the DOM."""
    script = b"<script>document.title = 'ran'</script></body>"
    return _opened(page.replace(b"</body>", script), folder)


def cut_off_on_a_phone(page: bytes, folder: Path) -> str:
    """Open a page 390 px wide in Chromium: what sticks out, scrolls sideways, or is a key broken inside a word."""
    (folder / "inner.html").write_bytes(page)
    return _opened(MEASURE.encode(), folder).split("<title>")[1].split("</title>")[0]


def _opened(page: bytes, folder: Path) -> str:
    (folder / "page.html").write_bytes(page)
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    flags += " --allow-file-access-from-files --hide-scrollbars"
    flags += f" --disable-component-update --disable-sync --user-data-dir={folder / 'profile'} --dump-dom"
    command = [CHROMIUM, *flags.split(), (folder / "page.html").as_uri()]
    outcome = subprocess.run(command, capture_output=True, timeout=60)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout.decode()
