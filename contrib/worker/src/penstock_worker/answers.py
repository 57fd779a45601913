"""What goes to the parent process: each answer as one line of strict JSON that its reader takes.

The parent drops a line that is no JSON (NaN, which Python writes by default), whose `error` is no string or whose
`task_id` is none, and the task then hangs for ever; an empty `error` is a success to it; and one line above its limit
ends its reading for good. So whatever a handler returns or raises, exactly one line is made of it here that avoids all
of these.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from penstock import PenstockError, failure_mark

__all__ = [
    "LONGEST_ANSWER",
    "READY",
    "RetryableError",
    "error_answer",
    "failure_answer",
    "result_answer",
    "start_error",
    "words_of",
]

LONGEST_ANSWER: Final = 10_000_000
"""Bytes that an answer may have, its line feed included."""

LONGEST_ERROR: Final = 10_000
"""Characters that the words of an error may have."""

READY: Final = b'{"status":"ready"}\n'


class RetryableError(Exception):
    """An error that a handler raises to say that another try may succeed: its answer has `retry` set."""


def start_error(error: BaseException) -> bytes:
    """The line that aborts the start."""
    words = str(error) if isinstance(error, PenstockError) else words_of(error)
    return _line({"status": "error", "error": _cut(words) or "unknown error"})


def result_answer(task_id: str, result: Any, longest: int = LONGEST_ANSWER) -> bytes:
    """The answer with a result; with an error where the result cannot be written as JSON, or is too long.

    Half a surrogate pair, which JSON can hold and UTF-8 cannot, is written as an escape.
    """
    try:
        line = _line({"task_id": task_id, "result": result, "error": None, "retry": False})
    except BaseException as error:  # writing calls methods of the result's own, which may do anything
        return error_answer(task_id, f"the result cannot be written as JSON: {words_of(error)}", longest=longest)
    if len(line) > longest:
        words = f"the answer is {len(line):,} bytes long, and the parent reads at most {longest:,}: return less"
        return error_answer(task_id, words, longest=longest)
    return line


def failure_answer(task_id: str, error: BaseException, longest: int = LONGEST_ANSWER) -> bytes:
    """The answer for what a handler raised. `retry` is set for a `RetryableError`, and for what a call through
    the request gate failed by if another try may succeed.
    """
    mark = failure_mark(error)
    retry = isinstance(error, RetryableError) or (mark is not None and mark.retryable)
    return error_answer(task_id, words_of(error), retry=retry, longest=longest)


def error_answer(task_id: str, words: str, *, retry: bool = False, longest: int = LONGEST_ANSWER) -> bytes:
    """The answer with an error in these words; empty where the id alone is above the limit."""
    line = _line({"task_id": task_id, "result": None, "error": _cut(words) or "unknown error", "retry": retry})
    return line if len(line) <= longest else b""


def words_of(error: BaseException) -> str:
    """The type and the words of an exception, whatever its own methods do; of a group, with those of its members."""
    return "; ".join(_words(error))


def _words(error: BaseException, depth: int = 0) -> Iterator[str]:
    try:
        name, text = type(error).__name__, str(error)
    except BaseException:
        name, text = "an exception", "which cannot be shown"
    yield f"{name}: {text}" if text else name
    if isinstance(error, BaseExceptionGroup) and depth < 10:
        for member in error.exceptions[:20]:
            yield from _words(member, depth + 1)


def _cut(words: str) -> str:
    return words if len(words) <= LONGEST_ERROR else f"{words[:LONGEST_ERROR]}… ({len(words):,} characters)"


def _line(record: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        text = json.dumps(record, allow_nan=False, separators=(",", ":")).encode()
    return text + b"\n"
