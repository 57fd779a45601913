"""A browser, in which a page is opened and its document read."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs
import pytest
from contrib.batch.tests.report.install_chromium import BROWSERS

WITHOUT_SANDBOX = ("--no-sandbox", "--disable-gpu")  # who runs tests may be root, and the page is ours


@attrs.define
class Document(HTMLParser):
    """What a browser has made of a page: the text of each element with an id, the tables by theirs, all attributes."""

    texts: dict[str, str] = attrs.field(factory=dict)
    tables: dict[str, list[list[str]]] = attrs.field(factory=dict)
    attributes: list[tuple[str, dict[str, str | None]]] = attrs.field(factory=list)
    title: str = ""

    def __attrs_post_init__(self) -> None:
        super().__init__()
        self._open: list[tuple[str, str | None]] = []
        self._table: list[list[str]] | None = None

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        self.attributes.append((tag, given))
        if tag not in ("meta", "input", "br", "img", "link"):
            self._open.append((tag, given.get("id")))
        if tag == "table":
            self._table = self.tables[given.get("id") or ""] = []
        if tag == "tr" and self._table is not None:
            self._table.append([])
        if tag in ("td", "th") and self._table is not None:
            self._table[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass
        if tag == "table":
            self._table = None

    def handle_data(self, data: str) -> None:
        if any(tag in ("script", "style") for tag, _ in self._open):
            return
        for tag, name in self._open:
            if name is not None:
                self.texts[name] = self.texts.get(name, "") + data
            if tag == "title":
                self.title += data
        if self._table and self._table[-1] and any(tag in ("td", "th") for tag, _ in self._open):
            self._table[-1][-1] += data

    def drawn(self) -> dict[str, str | None]:
        """The charts by their element's id, and `yes` for those that were drawn."""
        return {given["id"] or "": given.get("data-drawn") for _, given in self.attributes if "data-spec" in given}


def document_at(url: str, folder: Path, milliseconds: int = 30_000) -> Document:
    """What a browser makes of a page in so much of its own time; `folder` is for what it keeps. Skips where there is no
    browser.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium here: no browser has looked at the page (tox -e report installs one)")
    arguments = ("--headless=new", *WITHOUT_SANDBOX, f"--virtual-time-budget={milliseconds}", "--dump-dom")
    command = [browser, *arguments, f"--user-data-dir={folder / 'browser'}", url]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120)
    document = Document()
    document.feed(done.stdout.decode())
    return document


@pytest.fixture(scope="session")
def opened() -> Callable[[Path], Document]:
    """Opens a page in a browser and reads its document, once its charts are drawn. Skips where there is no browser."""
    return lambda path: document_at(path.as_uri(), path.parent)
