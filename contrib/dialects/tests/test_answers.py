"""The tables of verdicts, hints and usages over 152 answers in the true shapes of 23 providers, and over more that were
made: every form of a wait, and errors inside a 200.

`docs/reference/answers.md` shows what is read in them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from penstock_dialects import ANY, AnswerReader, Memory, dialect_names, find_dialect

ROWS: Final[list[dict[str, Any]]] = [
    json.loads(line)
    for name in ("answers.jsonl", "more_answers.jsonl")
    for line in (Path(__file__).parent / "data" / name).read_text(encoding="utf-8").splitlines()
]
DOCS: Final = Path(__file__).parents[3] / "docs"
NAMES: Final = [row["name"] for row in ROWS]
BY_NAME: Final = dict(zip(NAMES, ROWS, strict=True))

KINDS: Final[dict[str, dict[str, Any]]] = {
    "success": {"kind": "success", "of": None},
    "rate_limited": {"kind": "rate_limited", "of": None},
    "overloaded": {"kind": "rate_limited", "limited_by": "overload", "of": None},
    "quota": {"kind": "rate_limited", "limited_by": "day", "of": "account"},
    "no_credit": {"kind": "provider_failure", "of": "account"},
    "bad_key": {"kind": "provider_failure", "of": "account"},
    "too_large": {"kind": "provider_failure", "of": "call"},
    "filtered": {"kind": "provider_failure", "of": "call", "ended": "content_filter"},
    "refused": {"kind": "provider_failure", "of": "call", "ended": "refusal"},
    "provider_failure": {"kind": "provider_failure", "of": None},
    "provider_timeout": {"kind": "provider_timeout", "of": None},
}
"""What the table's words are in ours."""
ENDED: Final = {"tool": "tool_calls", "filter": "content_filter"}
LIMITED_BY: Final = {"input_tokens": "tokens", "output_tokens": "tokens"}


def body_of(row: dict[str, Any]) -> bytes:
    if "sse" in row:
        return "\n".join([*row["sse"], ""]).encode()
    body = row.get("body", "")
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def read(row: dict[str, Any], *, known: bool = True, step: int = 0) -> AnswerReader:
    names = dialect_names()
    dialect = find_dialect(row["provider"]) if known and row["provider"] in names else ANY
    reader = AnswerReader(dialect, row["status"], row["headers"], memory=Memory())
    body = body_of(row)
    for at in range(0, len(body), step or len(body) or 1):
        reader.feed(body[at : at + (step or len(body))])
    reader.end()
    reader.close()
    return reader


def expected(row: dict[str, Any]) -> dict[str, Any]:
    kind = row["means"]["kind"]
    if kind == "bad_request":
        return {"kind": "provider_failure", "of": "account" if row["means"]["for"] == "model" else "call"}
    wanted = dict(KINDS[kind])
    if kind == "rate_limited":
        about = row.get("limited_by")
        wanted["limited_by"] = "unknown" if about is None else LIMITED_BY.get(about, about)
    return wanted


@pytest.mark.parametrize("known", [True, False], ids=["by its dialect", "by any"])
@pytest.mark.parametrize("name", NAMES)
def test_the_verdict_on_an_answer(name: str, known: bool) -> None:
    row = BY_NAME[name]
    verdict = read(row, known=known).verdict
    wanted = expected(row)
    assert {field: getattr(verdict, field) for field in wanted} == wanted


@pytest.mark.parametrize("name", NAMES)
def test_how_an_answer_ended(name: str) -> None:
    row = BY_NAME[name]
    reader = read(row)
    ended = row["means"]["ended"]
    if reader.verdict.ended == "empty":
        assert (ended, reader.text, reader.tool_calls) == ("stop", "", []), "paid, and no text"
    else:
        assert reader.verdict.ended == ENDED.get(ended, ended)


@pytest.mark.parametrize("name", NAMES)
def test_what_an_answer_used(name: str) -> None:
    row = BY_NAME[name]
    told = row["means"]["usage"]
    usage = read(row).usage if row["means"]["ended"] not in ("error", "cut") else read(row).verdict.usage
    if told is None:
        assert usage is None
        return
    assert usage is not None
    fields = {
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cache_read": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens,
        "reasoning": usage.reasoning_tokens,
    }
    assert {name: fields[name] for name in told} == told


@pytest.mark.parametrize("name", NAMES)
def test_how_long_not_to_call(name: str) -> None:
    row = BY_NAME[name]
    asked = read(row).hints.not_before_seconds
    wanted = row["means"]["not_before_seconds"]
    if wanted is None:
        assert asked is None or name == "responses_stream_error_event"
    else:
        assert asked is not None
        assert wanted <= asked <= wanted + 1.0, "headers are rounded up to seconds"


@pytest.mark.parametrize("name", [row["name"] for row in ROWS if row.get("hints")])
def test_the_limits_that_an_answer_reports(name: str) -> None:
    row = BY_NAME[name]
    found = {(limit.dimension, limit.limit): limit for limit in read(row).hints.limits}
    for wanted in row["hints"]:
        limit = found[wanted["of"], wanted["limit"]]
        assert limit.remaining == wanted["remaining"]
        assert limit.reset == (None if wanted["reset_seconds"] is None else pytest.approx(wanted["reset_seconds"]))
        assert limit.window in (None, wanted["window_seconds"]), "not told, or as it is"


def test_the_page_of_answers_shows_what_is_read_today(module_at: Callable[[Path], ModuleType]) -> None:
    generator = module_at(DOCS / "make_answers_reference.py")
    written = (DOCS / "reference" / "answers.md").read_text(encoding="utf-8")
    assert written == generator.reference(), "run: python docs/make_answers_reference.py"
