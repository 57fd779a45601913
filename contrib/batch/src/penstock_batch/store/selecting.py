"""The answers of a store by what they have in common: their step, how they ended, their age."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import attrs

from penstock import ConfigError, Problem, did_you_mean
from penstock_batch.store.answer import Answer
from penstock_batch.store.encoding import sound
from penstock_batch.store.reading import StoreReader

__all__ = ["Cell", "Selection", "age_in_seconds"]

_UNITS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}


def age_in_seconds(text: str) -> float:
    """A duration as people write it. Raises `ValueError`.

    >>> age_in_seconds("90min"), age_in_seconds("7d")
    (5400.0, 604800.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|w)", text.strip())
    if found is None:
        raise ValueError(f"must be a number with s, min, h, d or w, as in 90min or 7d, not {text!r}")
    return float(found[1]) * _UNITS[found[2]]


@attrs.frozen
class Cell:
    """One answer of a store under its key; `answer` is `None` where it is damaged. One that was `retired` is found no
    more.
    """

    number: int
    key: bytes
    answer: Answer | None
    retired: bool


@attrs.frozen(kw_only=True)
class Selection:
    """What is selected: the answers that fit each of these that is given. `before` is a moment in seconds since 1970,
    `key` the beginning of a key in hexadecimal.
    """

    step: str | None = None
    ended: str | None = None
    before: float | None = None
    key: str | None = None

    def check(self, store: StoreReader) -> None:
        """Raises `ConfigError` if the step is none of those that the store has answers of."""
        steps = [found[0] for found in store.ask("SELECT DISTINCT step FROM answers")]
        if self.step is not None and self.step not in steps:
            hint = did_you_mean(self.step, steps, otherwise="there are")
            raise ConfigError(Problem(("--step",), f"there is no answer of a step {self.step!r}; {hint}"))

    def condition(self) -> tuple[str, list[Any]]:
        """The condition in SQL, and its values."""
        tests: list[tuple[str, Any]] = []
        if self.step is not None:
            tests.append(("step = ?", self.step))
        if self.ended is not None:
            tests.append(("ended IS ?", None if self.ended == "none" else self.ended))
        if self.before is not None:
            tests.append(("at < ?", self.before))
        if self.key is not None:
            tests.append(("instr(lower(hex(key)), ?) = 1", self.key.lower()))
        return " AND ".join(test for test, _ in tests) or "1", [value for _, value in tests]

    def cells(self, store: StoreReader) -> Iterator[Cell]:
        """The answers, in the order in which they came."""
        condition, values = self.condition()
        question = f"SELECT id, key, body, vector, crc, row, step, retired FROM answers WHERE {condition} ORDER BY id"
        for number, key, body, vector, crc, row, step, retired in store.each(question, values):
            yield Cell(number, key, sound(key, body, vector, crc, row, step), bool(retired))

    def counts(self, store: StoreReader) -> list[tuple[str, str | None, int, int, int, float | None]]:
        """By step and by how they ended: how many answers there are, their tokens in and out, and what they cost."""
        condition, values = self.condition()
        return store.ask(
            "SELECT step, ended, count(*), total(input_tokens), total(output_tokens), sum(cost) FROM answers "
            f"WHERE {condition} GROUP BY step, ended ORDER BY min(id)",
            values,
        )
