"""The site as it was built: whoever searches it in a browser is led to the page, and every public name is explained.

`tox -e docs` builds it and runs this; without a site, or without a browser, there is nothing to look at, which is said.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest
from contrib.batch.tests.report.conftest import document_at

import penstock

HOUSE = Path(__file__).parents[2]
SITE = os.environ.get("PENSTOCK_SITE", "")

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.skipif(not SITE, reason="no site was built: `tox -e docs` builds it, and searches it in a browser"),
]


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that logs nothing."""

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where the site is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=SITE)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("question", "page"),
    [
        ("cooldown", "policies/cooldown/README.html"),
        ("TaskRuleContract", "docs/tutorials/rule.html"),
        ("request_lease_released", "docs/reference/events.html"),
        ("what limits my run", "docs/what-limits-my-run.html"),
        ("contributing habits", "CONTRIBUTING.html"),
    ],
)
def test_search_leads_to_the_page(address: str, tmp_path: Path, question: str, page: str) -> None:
    document = document_at(f"{address}/search.html?q={question.replace(' ', '+')}", tmp_path)

    found = [given["href"] or "" for tag, given in document.attributes if tag == "a" and "href" in given]
    assert "Search finished" in document.texts["search-results"]
    assert [link for link in found if link.partition("#")[0].partition("?")[0] == page]


LOADED = re.compile(r'<(?:script|img|iframe|source)\b[^>]*\bsrc="([^"]*)"|<link\b[^>]*\bhref="([^"]*)"|@import\s+(\S+)')


def test_no_page_loads_anything_from_elsewhere() -> None:
    pages = [*Path(SITE).rglob("*.html"), *Path(SITE).rglob("*.css")]
    loaded = {
        (page.name, next(filter(None, found)))
        for page in pages
        for found in LOADED.findall(page.read_text(encoding="utf-8"))
        if any(found)
    }

    assert len(loaded) > len(pages)
    assert [each for each in loaded if "//" in each[1]] == []


def test_every_link_within_the_site_leads_to_a_place_that_is_there() -> None:
    pages = {page: page.read_text(encoding="utf-8") for page in Path(SITE).rglob("*.html")}
    places = {page: {"", *re.findall(r'\bid="([^"]+)"', text)} for page, text in pages.items()}
    astray, followed = [], 0
    for page, text in pages.items():
        for link in set(re.findall(r'<a\b[^>]*\bhref="([^"]*)"', text)):
            path, _, place = unescape(link).partition("#")
            if urlsplit(path).scheme:
                continue
            followed += 1
            target = page if not path else Path(os.path.normpath(page.parent / unquote(path.partition("?")[0])))
            if unquote(place) not in places.get(target, set()) and not (target.is_file() and not place):
                astray.append(f"{page.relative_to(SITE)}: {link}")

    assert astray == []
    assert followed > 10 * len(pages)


def test_search_for_what_is_nowhere_finds_nothing(address: str, tmp_path: Path) -> None:
    document = document_at(f"{address}/search.html?q=zyxwvutsrq", tmp_path)

    assert "did not match any documents" in document.texts["search-results"]


def test_the_root_leads_to_the_first_page(address: str, tmp_path: Path) -> None:
    sections = document_at(f"{address}/", tmp_path).texts

    assert {"start", "tutorials", "guides", "reference", "design"} <= sections.keys()


@pytest.mark.parametrize("page", ["penstock.md", "testing.md", "plugins.md", "contrib.md"])
def test_every_name_that_a_page_of_the_reference_lists_is_explained_there(page: str) -> None:
    text = HOUSE.joinpath("docs/reference", page).read_text(encoding="utf-8")
    made = Path(SITE, "docs/reference", page).with_suffix(".html").read_text(encoding="utf-8")

    listed = re.findall(r"^(`.*`)\.$\n\n```\{eval-rst\}\n\.\. automodule:: (\S+)$", text, re.MULTILINE)
    assert listed
    explained = set(re.findall(r'id="([\w.]+)"', made))
    wanted = {
        f"{module}.{name}"
        for names, module in listed
        for name in re.findall(r"\w+", names)
        if module == "penstock" or not hasattr(penstock, name)  # the core's own are explained there
    }
    assert sorted(wanted - explained) == []
