"""The generator of `docs/reference/answers.md`: what is read in the answers that the tests of penstock-dialects read.

    python docs/make_answers_reference.py

A test holds the file against `reference()`, so that the page cannot fall behind the code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from penstock import classify
from penstock_dialects import ANY, AnswerReader, dialect_names, find_dialect
from penstock_dialects.testing import read_answer

PAGE = Path(__file__).parent / "reference" / "answers.md"
DATA = Path(__file__).parents[1] / "contrib" / "dialects" / "tests" / "data"

HEAD = """\
# What is read in an answer

<!-- Written by docs/make_answers_reference.py from contrib/dialects/tests/data. Change it there. -->

What [penstock-dialects](../../contrib/dialects/README.md) makes of the answers that its tests read: 152 in the
true shapes of 23 providers, and behind them those that were made to show every form of a wait and errors inside
a 200. The words of a verdict are explained in that README. A cell that is empty: nothing was said of it.
"""

VERDICTS = """\
## Verdicts

*Retried* says whether the same call may succeed later; *wait* is how many seconds no call should go out. Both
are what the provider says: the pause itself is bounded by `retry_after_max`, and by the cooldown's own maximum.
"""

LIMITS = """\
## Limits in headers

Of each answer that reports some. *Reset* is the time until all of it is there again; the window is told by few.
"""

USAGES = """\
## Usage

In tokens. Input and output are meant in full: caches are part of the input, reasoning is part of the output.
What was not told is not 0, and refunds nothing.
"""


def reference() -> str:
    """The text of the page."""
    read = [(row, _read(row)) for row in _rows()]
    tables = (
        (VERDICTS, "answer", "status", "kind", "limited by", "of", "ended", "retried", "wait"),
        (LIMITS, "answer", "header", "of", "limit", "remaining", "reset, s", "window, s"),
        (USAGES, "answer", "input", "output", "read from a cache", "written to one", "reasoning"),
    )
    lines = [HEAD]
    for (words, *head), made in zip(tables, (_verdict, _limits, _usage), strict=True):
        body = [line for row, reader in read for line in made(row["name"], reader)]
        lines += [words, _line(head), "|".join(["", *["---"] * len(head), ""]), *body, ""]
    return "\n".join(lines)


def _rows() -> Iterator[dict[str, Any]]:
    for name in ("answers.jsonl", "more_answers.jsonl"):
        yield from map(json.loads, (DATA / name).read_text(encoding="utf-8").splitlines())


def _read(row: dict[str, Any]) -> AnswerReader:
    body = "\n".join([*row["sse"], ""]) if "sse" in row else row.get("body", "")
    text = body if isinstance(body, str) else json.dumps(body)
    dialect = find_dialect(row["provider"]) if row["provider"] in dialect_names() else ANY
    return read_answer(dialect, row["status"], row["headers"], text.encode())


def _verdict(name: str, reader: AnswerReader) -> Iterator[str]:
    verdict = reader.verdict
    facts = (verdict.kind, verdict.limited_by, verdict.of, verdict.ended)
    yield _line([name, reader.status, *facts, _retried(reader), reader.hints.not_before_seconds])


def _retried(reader: AnswerReader) -> str | None:
    outcome = classify(reader.facts(), None)
    return None if outcome.kind == "success" else "yes" if outcome.retryable else "no"


def _limits(name: str, reader: AnswerReader) -> Iterator[str]:
    for hint in reader.hints.limits:
        amounts = (hint.limit, hint.remaining, hint.reset, hint.window)
        yield _line([name, f"`{hint.said_by}`", hint.dimension, *amounts])


def _usage(name: str, reader: AnswerReader) -> Iterator[str]:
    usage = reader.verdict.usage
    if usage is not None:
        counts = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)
        yield _line([name, *counts, usage.reasoning_tokens])


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{round(value, 3):,.10g}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
