"""The page of a run: whatever is put into it stays text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from penstock_batch.report.page import AnswerView, CellView, Chart, RowView, Table, page

EVIL = "</script></pre></title><img src=x onerror=alert(1)><!-- & \" ' \u2028 \ud800"


def made(word: str = "word", scripts: str = "window.vegaEmbed = () => {};") -> str:
    """A page that has `word` in every place where something foreign may stand."""
    answer = AnswerView(word, word)
    return page(
        title=word,
        state=word,
        facts=[(word, word)],
        tables=[Table("models", "Models", ["model", "calls"], [[word, word]])],
        charts=[Chart("one", "One", {"data": {"values": [{word: word}]}})],
        rows=[
            RowView(
                "line 1", "failed", word, word, [CellView(word, word, "", [answer], word), CellView("b", None, word)]
            )
        ],
        rows_word=word,
        scripts=scripts,
    ).decode()


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append(tag)
        if tag == "script":
            self._in_script = True
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = self._in_script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data


def elements(text: str) -> Elements:
    found = Elements()
    found.feed(text)
    return found


def test_whatever_stands_in_a_page_makes_no_element() -> None:
    assert elements(made(EVIL)).found == elements(made()).found


def test_data_within_a_script_stay_what_they_are() -> None:
    data = elements(made(EVIL)).scripts[0]
    assert json.loads(data) == {"data": {"values": [{EVIL: EVIL}]}}
    assert not re.search(r"[<>&]", data)


def test_a_page_loads_nothing_and_runs_its_own_scripts_only() -> None:
    text = made()
    policy = re.search(r'Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src &#39;none&#39;; script-src &#39;sha256-")
    assert "unsafe-eval" not in policy[1]
    assert not re.search(r'(src|href)="', text)


def test_a_chart_with_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        page(
            title="", state="", facts=[], tables=[], charts=[Chart("one", "One", {"x": float("nan")})], rows=[],
            rows_word="", scripts="",
        )  # fmt: skip
