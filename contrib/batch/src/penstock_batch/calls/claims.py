"""Which cell of the store is whose: what each row asks, under which key, and which answers are kept for it.

Rows are asked in the order in which they come. Of several equal calls each row has its own answer, and keeps it: which
number a row has is remembered where there are several, since rows come in another order next time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from penstock_batch.calls.asking import Asked, NotAsked, ask
from penstock_batch.pipeline.steps import Step
from penstock_batch.store.answer import Answer
from penstock_batch.store.keys import Occurrences, numbered_key
from penstock_batch.store.store import Store

__all__ = ["Claim", "Claims"]

_APART: Final = 0x9E3779B97F4A7C15
_ALL_BITS: Final = (1 << 64) - 1
_HALF: Final = 1 << 63


@attrs.define
class Claim:
    """A cell of one row: what is asked, its key, and the answers that it has, in the order in which they came."""

    asked: Asked
    key: bytes
    answers: tuple[Answer, ...] = ()


class Claims:
    """The claims of one run over a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._occurrences = Occurrences()
        self._rows = Occurrences()

    def claim(self, step: Step, row: int, values: Mapping[str, Any], columns: Mapping[str, Any]) -> Claim:
        """The cell of `step` for a row, by its identity, its values and its columns, with what is kept for it. Raises
        `NotAsked`.
        """
        found = self.claim_all(step, [(row, values, columns)])[0]
        if isinstance(found, NotAsked):
            raise found
        return found

    def claim_all(
        self, step: Step, rows: Sequence[tuple[int, Mapping[str, Any], Mapping[str, Any]]]
    ) -> list[Claim | NotAsked]:
        """The cells of `step` for several rows at once, or why a row has none."""
        claims: list[Claim | NotAsked] = []
        for row, values, columns in rows:
            try:
                asked = ask(step, values, columns)
            except NotAsked as error:
                claims.append(error)
            else:
                claims.append(Claim(asked, asked.base if step.share else self._key(asked.base, row)))
        found = self._store.find([claim.key for claim in claims if isinstance(claim, Claim)])
        for claim in claims:
            if isinstance(claim, Claim):
                claim.answers = found.get(claim.key, ())
        return claims

    def identity(self, digest: int) -> int:
        """What a row is known by: its digest, and which of several equal rows it is."""
        again = self._rows.next_of(digest.to_bytes(8, "little"))
        return ((digest + again * _APART) & _ALL_BITS) - _HALF

    def _key(self, base: bytes, row: int) -> bytes:
        numbers = self._store.numbers(base)
        number = numbers.get(row)
        if number is None:
            taken = set(numbers.values())
            number = self._occurrences.next_of(base)
            while number in taken:
                number = self._occurrences.next_of(base)
            if number:
                self._store.claim(base, row, number)
        return numbered_key(base, number)
