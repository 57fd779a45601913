"""The contract of every dialect, held by those of the table with the answers that are recorded of their providers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from penstock_dialects import ANY, dialect_names, find_dialect
from penstock_dialects.testing import DialectContract, Example, read_answer

ROWS: Final[list[dict[str, Any]]] = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "answers.jsonl").read_text(encoding="utf-8").splitlines()
]


def body_of(row: dict[str, Any]) -> bytes:
    lines = row.get("sse")
    body = row.get("body", "") if lines is None else "\n".join([*lines, ""])
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def examples_of(provider: str) -> tuple[Example, ...]:
    found = []
    for row in ROWS:
        if row["provider"] == provider:
            reader = read_answer(find_dialect(provider), row["status"], row["headers"], body_of(row))
            verdict = reader.verdict
            found.append(
                Example(
                    row["status"], body_of(row), row["headers"], verdict.kind, verdict.ended, verdict.of, reader.text
                )
            )
    return tuple(example for example in found if example.body)


PROVIDERS = sorted({row["provider"] for row in ROWS} & set(dialect_names()))


@pytest.fixture(params=PROVIDERS)
def contract(request: pytest.FixtureRequest) -> DialectContract:
    held = DialectContract()
    held.dialect, held.answers = find_dialect(request.param), examples_of(request.param)
    return held


RULES = [name for name in dir(DialectContract) if name.startswith("test_")]


@pytest.mark.parametrize("rule", RULES)
def test_every_dialect_holds_the_contract(contract: DialectContract, rule: str) -> None:
    getattr(contract, rule)()


def test_a_dialect_that_reads_something_else_fails_the_contract() -> None:
    held = DialectContract()
    held.dialect = ANY
    held.answers = (
        Example(200, b'{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}', ended="length"),
    )
    with pytest.raises(AssertionError):
        held.test_it_reads_its_examples()


def test_there_are_examples_of_most_dialects() -> None:
    assert len(PROVIDERS) >= 20
