"""What those who add a dialect test it with: a suite that every dialect holds, whatever its provider sends.

class TestMine(DialectContract):
    dialect = MINE
    answers = (Example(200, b'{"text": "hi", "tokens": 3}', kind="success", ended="stop", text="hi"),)
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from random import Random
from types import MappingProxyType
from typing import Any, Final

import attrs

from penstock import OUTCOME_KINDS, Usage, Verdict
from penstock_dialects.dialects import Dialect
from penstock_dialects.reader import AnswerReader
from penstock_dialects.unpacking import Memory

__all__ = ["WRONG_VALUES", "DialectContract", "Example", "read_answer"]

WRONG_VALUES: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        -1,
        0,
        10**30,
        1e308,
        float("nan"),
        "",
        "7",
        "\x00\x1b[31m\u202e",
        [],
        [None],
        {},
        {"": None},
        [[{}]],
    ),
)
"""What may stand in the place of any value."""


@attrs.frozen
class Example:
    """An answer, and what is to be read in it."""

    status: int
    body: bytes
    headers: Mapping[str, str] = MappingProxyType({})
    kind: str = "success"
    ended: str | None = None
    of: str | None = None
    text: str = ""
    usage: Usage | None = None


def read_answer(
    dialect: Dialect, status: int, headers: Mapping[str, str], body: bytes, *, step: int | None = None
) -> AnswerReader:
    """A reader that has read this body to its end, in pieces of `step` bytes; it is closed."""
    reader = AnswerReader(dialect, status, headers, memory=Memory())
    for at in range(0, len(body), step or max(1, len(body))):
        reader.feed(body[at : at + (step or len(body))])
    reader.end()
    reader.close()
    return reader


class DialectContract:
    """What holds for every dialect. A subclass names the `dialect` and gives examples of what its provider sends."""

    dialect: Dialect
    answers: tuple[Example, ...] = ()

    def test_it_reads_its_examples(self) -> None:
        assert self.answers, "give at least one example"
        for example in self.answers:
            reader = self._read(example, example.body)
            verdict = reader.verdict
            assert not reader.fault
            assert (verdict.kind, verdict.ended, verdict.of) == (example.kind, example.ended, example.of), example
            assert reader.text == example.text
            if example.usage is not None:
                assert reader.usage == example.usage

    def test_it_makes_no_difference_where_a_body_is_split(self) -> None:
        for example in self.answers:
            whole = self._read(example, example.body)
            for step in (1, 2, 3, 7, 64):
                split = self._read(example, example.body, step=step)
                assert (split.verdict, split.text, split.hints) == (whole.verdict, whole.text, whole.hints)

    def test_its_own_functions_bear_whatever_a_refusal_holds(self) -> None:
        fields = ("code", "type", "status", "message", "details", "metadata", "reason", "param")
        for status in (200, 400, 429):
            for wrong in WRONG_VALUES:
                for error in (wrong, dict.fromkeys(fields, wrong), {"details": [wrong, {"violations": [wrong]}]}):
                    reader = read_answer(self.dialect, status, {}, json.dumps({"error": error}).encode())
                    _check(reader.verdict)
                    assert not reader.fault

    def test_a_packed_body_reads_as_a_plain_one(self) -> None:
        for example in self.answers:
            headers = {**example.headers, "content-encoding": "gzip"}
            packed = read_answer(self.dialect, example.status, headers, gzip.compress(example.body), step=5)
            assert packed.verdict == self._read(example, example.body).verdict

    def test_a_body_that_breaks_off_anywhere_has_a_verdict(self) -> None:
        for example in self.answers:
            for end in range(len(example.body)):
                _check(self._read(example, example.body[:end]).verdict)

    def test_whatever_stands_in_the_place_of_a_value_has_a_verdict(self) -> None:
        for example in self.answers:
            for body in _spoilt(example.body):
                reader = self._read(example, body)
                _check(reader.verdict)
                assert isinstance(reader.text, str)
                assert all(isinstance(call.arguments, str) for call in reader.tool_calls)

    def test_noise_has_a_verdict(self) -> None:
        rng = Random("noise")
        for example in self.answers:
            for _ in range(50):
                body = bytearray(example.body)
                for _ in range(3):
                    body[rng.randrange(len(body))] = rng.randrange(256)
                _check(self._read(example, bytes(body)).verdict)

    def _read(self, example: Example, body: bytes, *, step: int | None = None) -> AnswerReader:
        return read_answer(self.dialect, example.status, example.headers, body, step=step)


def _check(verdict: Verdict) -> None:
    assert verdict.kind in OUTCOME_KINDS


def _spoilt(body: bytes) -> Iterator[bytes]:
    """The body with each value of its JSON replaced by each wrong one."""
    lines = body.decode().split("\n")
    texts = [(0, body.decode())] if _parsed(body.decode()) is not None else []
    for place, line in [*enumerate(lines), *texts] if len(lines) > 1 else texts:
        start, text = ("data: ", line[6:]) if line.startswith("data: ") else ("", line)
        data = _parsed(text)
        if data is None:
            continue
        for spoilt in _variants(data):
            said = start + json.dumps(spoilt)
            yield (
                said.encode()
                if text == body.decode()
                else "\n".join([*lines[:place], said, *lines[place + 1 :]]).encode()
            )


def _parsed(text: str) -> Any:
    try:
        data = json.loads(text)
    except ValueError:
        return None
    return data if isinstance(data, dict | list) else None


def _variants(data: Any) -> Iterator[Any]:
    yield from WRONG_VALUES
    if isinstance(data, dict):
        for key, value in data.items():
            for variant in _variants(value):
                yield {**data, key: variant}
    elif isinstance(data, list):
        for place, value in enumerate(data):
            for variant in _variants(value):
                yield [*data[:place], variant, *data[place + 1 :]]
