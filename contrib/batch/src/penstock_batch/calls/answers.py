"""The value of a cell in a provider's answer, or in one line why there is none. Pure: `penstock_dialects` has read it.

Bodies are the user's data and may quote them, so what is taken from an error is one short line, without our own key.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from penstock import Ended, ErrorFields, RequestReleaseOutcome, Usage
from penstock_batch.calls.giving_up import FailureKind
from penstock_batch.calls.vectors import NoVector, vectors_of
from penstock_dialects import AnswerReader

__all__ = ["Answered", "BadAnswer", "answer_of", "error_line", "failure_kind", "vectors_in"]

_LONGEST: Final = 200
_UNTOLD: Final = Usage()


class BadAnswer(ValueError):
    """A 200 that does not hold what it should, in one line."""


@attrs.frozen
class Answered:
    """The value of a cell, what it used as far as that was reported, and how the answer ended."""

    value: Any
    usage: Usage = _UNTOLD
    ended: Ended | None = None


def answer_of(kind: str, reader: AnswerReader) -> Answered:
    """The value of a `chat` or an `embedding` that was answered. Raises `BadAnswer`.

    That of a chat is its text, the parts joined; where the model calls tools, an object of the text and of the calls.
    """
    verdict = reader.verdict
    usage = _UNTOLD if verdict.usage is None else verdict.usage
    if kind == "embedding":
        return Answered(vectors_in(reader, 1)[0], usage, verdict.ended)
    _check_unpacked(reader)
    if verdict.ended in ("refusal", "content_filter"):  # it was paid for, and is judged like any other
        return Answered(reader.text or reader.refusal, usage, verdict.ended)
    if verdict.kind != "success":
        ended = "out being whole" if verdict.ended == "cut" else f" {verdict.code or 'an error'}"
        raise BadAnswer(_WHY.get(verdict.code, f"the answer ended with{ended}"))
    calls = [attrs.asdict(call) for call in reader.tool_calls]
    if calls:
        return Answered({"text": reader.text, "tool_calls": calls}, usage, verdict.ended)
    if verdict.ended is None:
        raise BadAnswer("the answer holds no text")
    return Answered(reader.text, usage, verdict.ended)


def _check_unpacked(reader: AnswerReader) -> None:
    if reader.unreadable and reader.verdict.ended is None:
        raise BadAnswer(f"the answer is packed by {reader.unreadable[:40]!r} and cannot be unpacked")


_WHY: Final = {
    "no_answer": "the answer is none: neither JSON nor a stream of events",
    "no_text": "the answer holds no text, and no token was used",
    "answer_too_large": "the answer is larger than it may be",
}


def vectors_in(reader: AnswerReader, texts: int) -> list[list[float] | NoVector]:
    """The vectors of an answer to so many texts, in their order. Raises `BadAnswer` where there is none at all."""
    _check_unpacked(reader)
    if reader.too_large:
        raise BadAnswer(_WHY["answer_too_large"])
    try:
        found = vectors_of(reader.vectors, reader.places, texts)
    except NoVector as error:
        raise BadAnswer(str(error)) from None
    problems = [str(vector) for vector in found if isinstance(vector, NoVector)]
    if len(problems) == len(found):
        raise BadAnswer(problems[0])
    return found


def failure_kind(outcome: RequestReleaseOutcome) -> FailureKind:
    """The meaning of a failed call for those that come after (`giving_up.py`), from what its answer means."""
    if outcome.of == "account":
        return "account" if outcome.status == 402 or outcome.may_pass is False else "refused"
    if outcome.kind == "rate_limited":
        return "limited"
    return "down" if outcome.retryable else "unfit"


def error_line(status: int, error: ErrorFields | None, key: str | None = None) -> str:
    """`HTTP 401: Incorrect API key provided.`: the status, and what the provider says in one short line, `key`
    blotted out.
    """
    said = "" if error is None else error.message or next(iter(error.words), "")
    if key:
        said = said.replace(key, "***")
    return f"HTTP {status}: {_one_line(said)}" if said else f"HTTP {status}"


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
