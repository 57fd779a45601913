"""The page of a run: one HTML file that needs nothing beside it, and in which nothing foreign can be more than text.

Prompts, answers and names are whatever people and models write. What stands in the page is escaped by the template;
what stands in a script element is JSON with no `<` in it, so that no text can end the element; and a policy in the
page's head lets run only the two scripts that are known by their hashes, and load nothing at all.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final

import attrs
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

__all__ = ["MARK", "AnswerView", "CellView", "Chart", "RowView", "Table", "page"]

MARK: Final = '<meta name="generator" content="penstock report">'
"""By which a page is known to be one of ours."""


@attrs.frozen
class AnswerView:
    """An answer as it is shown: its text, and in a line who gave it, how it ended and what it cost."""

    text: str
    facts: str


@attrs.frozen
class CellView:
    """A cell: what was asked, or in a word why that is left out; what was answered; why it failed."""

    step: str
    asked: str | None
    word: str = ""
    answers: Sequence[AnswerView] = ()
    failed: str | None = None


@attrs.frozen
class RowView:
    """A row of the sample. `place` says where it comes from, `state` is `done`, `failed` or `open`; `columns` are those
    that it began with, as text.
    """

    place: str
    state: str
    reason: str | None
    columns: str
    cells: Sequence[CellView]


@attrs.frozen
class Table:
    """A table: the first column names what the others are figures of."""

    name: str
    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@attrs.frozen
class Chart:
    """A chart by its Vega-Lite specification."""

    name: str
    title: str
    spec: Mapping[str, Any]


def page(
    *,
    title: str,
    state: str,
    facts: Sequence[tuple[str, str]],
    tables: Sequence[Table],
    charts: Sequence[Chart],
    rows: Sequence[RowView],
    rows_word: str,
    scripts: str,
) -> bytes:
    """The page, in UTF-8. `scripts` are those that draw the charts; they are taken as they are."""
    script = _file("page.js")
    text = _template().render(
        mark=Markup(MARK),
        title=title,
        state=state,
        facts=facts,
        tables=tables,
        charts=[{"name": chart.name, "title": chart.title, "spec": _json(chart.spec)} for chart in charts],
        rows=rows,
        rows_word=rows_word,
        policy=_policy(scripts, script),
        scripts=Markup(scripts),
        script=Markup(script),
    )
    return text.encode(errors="replace")  # half a surrogate pair is no text anywhere


def _json(value: object) -> Markup:
    """JSON that may stand within a script element: nothing in it can end the element or begin a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _policy(*scripts: str) -> str:
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:"


def _file(name: str) -> str:
    return resources.files("penstock_batch.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    return Environment(autoescape=True, undefined=StrictUndefined).from_string(_file("page.html"))
