"""The words between `penstock explain`, `reconfigure` or `top` and a run: who is there, one question, one answer.

Each is a line of JSON.

    run    {"penstock": "explain", "run_id": "nightly", "pid": 4711, "started": "2026-01-01T00:00:00+00:00"}
    asker  {"group": null, "records": false}  or  {"reconfigure": "/path/run.toml", "records": false}
           or  {"capacity": true, "records": false}
           or  {"figures": true, "records": true}
    run    {"text": "…"}  or  {"records": {…}}  or  {"error": "…"}  or  {"refused": ["…"]}

Neither side trusts the other to be Penstock: lines are bounded, and whatever is no such line is a `ValueError` that
says what is wrong with it. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import attrs

from penstock.words.printable import printable

__all__ = [
    "EXCHANGE_TIMEOUT", "LONGEST_ANSWER", "LONGEST_GREETING", "LONGEST_QUESTION", "Greeting", "Question", "RunRefused",
    "answer_line", "error_line", "read_answer", "read_greeting", "read_question",
]  # fmt: skip

EXCHANGE_TIMEOUT: Final = 5.0
"""Seconds for a question to come in, and for its answer to go out; who asks has twice as long in all."""
LONGEST_QUESTION: Final = 4096
"""Bytes, with the end of the line; so are the next two."""
LONGEST_GREETING: Final = 4096
LONGEST_ANSWER: Final = 16 * 1024 * 1024
LONGEST_ERROR: Final = 1000
"""Characters of an error that are shown."""
LONGEST_NAME: Final = 200
"""Characters of a run's name in its greeting."""
MOST_PROBLEMS: Final = 1000
"""How many problems of a configuration are shown."""


class RunRefused(ValueError):
    """A run does not take a configuration; `problems` holds a line for each, safe to be shown."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@attrs.frozen
class Greeting:
    """Who answers: a run's name, its process, and the time of day at which it started (ISO 8601)."""

    run_id: str
    pid: int
    started: str

    def line(self) -> bytes:
        """What is sent to whoever connects."""
        return _line({"penstock": "explain", **attrs.asdict(self), "run_id": self.run_id[:LONGEST_NAME]})


@attrs.frozen
class Question:
    """What is asked about, one group or all, or with `reconfigure` the file of another configuration that the run is to
    take, or with `capacity` what limits the run; the answer is to be records or text. With `figures` it is the run's
    figures, as records.
    """

    group: str | None = None
    records: bool = False
    reconfigure: str | None = None
    capacity: bool = False
    figures: bool = False

    def line(self) -> bytes:
        """What is sent. Raises `ValueError` if the name of the group is too long."""
        asked = attrs.asdict(self)
        for name in ("capacity", "figures"):
            if not asked[name]:
                del asked[name]  # of which a run of an earlier version knows nothing
        line = _line(asked)
        if len(line) > LONGEST_QUESTION:
            what = "name of the group" if self.reconfigure is None else "path of the file"
            raise ValueError(f"the {what} is too long: the question may have {LONGEST_QUESTION} bytes")
        return line


_KEYS: Final = tuple(field.name for field in attrs.fields(Question))


def read_question(line: bytes) -> Question:
    """The question in this line. Raises `ValueError`."""
    asked = _read(line, "question", LONGEST_QUESTION)
    if unknown := asked.keys() - _KEYS:
        names = printable(", ".join(sorted(unknown))[:60])
        known = ", ".join(f"`{key}`" for key in _KEYS)
        raise ValueError(f"the question has keys beside {known}: {names}")
    group, records, file = asked.get("group"), asked.get("records", False), asked.get("reconfigure")
    capacity, figures = asked.get("capacity", False), asked.get("figures", False)
    for key, value in (("group", group), ("reconfigure", file)):
        if value is not None and not isinstance(value, str):
            raise ValueError(f"`{key}` must be text or null")
    for key, value in (("records", records), ("capacity", capacity), ("figures", figures)):
        if not isinstance(value, bool):
            raise ValueError(f"`{key}` must be true or false")
    for key, value in (("capacity", capacity), ("figures", figures)):
        if value and not (group is None and file is None):
            raise ValueError(f"`{key}` is asked for alone: it is of the whole run")
    return Question(group, records, file, capacity, figures)


def answer_line(answer: Mapping[str, Any]) -> bytes:
    """What is sent as an answer; if that is too long, the error that says so."""
    line = _line(answer)
    too_long = f"the answer is longer than {LONGEST_ANSWER} bytes; ask about one group, or for text"
    return line if len(line) <= LONGEST_ANSWER else error_line(too_long)


def error_line(error: str) -> bytes:
    """What is sent instead of an answer."""
    return _line({"error": error})


def read_greeting(line: bytes) -> Greeting:
    """Who answers. Raises `ValueError` if it is no run of Penstock's."""
    words = _read(line, "greeting", LONGEST_GREETING)
    run_id, pid, started = words.get("run_id"), words.get("pid"), words.get("started")
    if words.get("penstock") == "explain" and isinstance(run_id, str) and isinstance(started, str) and type(pid) is int:
        return Greeting(run_id, pid, started)
    raise ValueError("the greeting is not that of a run")


def read_answer(line: bytes, question: Question) -> str:
    """The answer, safe to be shown: lines of text, or JSON. Raises `ValueError`, also with what the run refuses, and
    `RunRefused` with every problem of a configuration.
    """
    words = _read(line, "answer", LONGEST_ANSWER)
    error, text, records, refused = (words.get(key) for key in ("error", "text", "records", "refused"))
    if question.reconfigure is not None and isinstance(refused, list) and refused:
        problems = [problem for problem in refused[:MOST_PROBLEMS] if isinstance(problem, str) and problem]
        raise RunRefused(tuple(printable(problem[:LONGEST_ERROR]) for problem in problems or ["it does not say why"]))
    if error and isinstance(error, str):
        raise ValueError(printable(error[:LONGEST_ERROR]))
    try:
        if question.records and isinstance(records, dict):
            return json.dumps(records, indent=2)  # which escapes all that is not ASCII
    except RecursionError:
        raise ValueError("the answer is nested too deep") from None
    if not question.records and isinstance(text, str):
        return "\n".join(map(printable, text.split("\n")))
    raise ValueError("the answer has not what was asked for")


def _line(words: Mapping[str, Any]) -> bytes:
    return json.dumps(words).encode("ascii") + b"\n"


def _read(line: bytes, what: str, longest: int) -> dict[str, Any]:
    if len(line) > longest:
        raise ValueError(f"the {what} is longer than {longest} bytes")
    if not line.endswith(b"\n"):
        raise ValueError(f"the {what} breaks off" if line else f"the connection ended without {what}")
    try:
        words = json.loads(line.decode("utf-8"))
    except (RecursionError, ValueError) as error:
        wrong = {RecursionError: "nested too deep", UnicodeDecodeError: "not UTF-8"}.get(type(error), "not JSON")
        raise ValueError(f"the {what} is {wrong}") from None
    if not isinstance(words, dict):
        raise ValueError(f"the {what} is no JSON object")
    return words
