"""Which cell of the store is whose: what each row asks, under which key, and which answers are kept for it.

Of several equal calls each row has its own answer, and keeps it, in whatever order rows come: the first row that asks
has number 0, which is the call's own key, the others a number behind it. An answer says of which row it is. One whose
row the input has no more is free for the next row that asks the same; so rows that have changed in what a step does
not see cost nothing. A row that asks the same twice, in two steps, asks it once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from penstock_batch.calls.asking import Asked, NotAsked, asking
from penstock_batch.pipeline.steps import Step
from penstock_batch.store.answer import Answer
from penstock_batch.store.keys import RowNames, numbered_key

__all__ = ["Answers", "Claim", "Claims"]

_MOST_HINTS: Final = 1 << 16


class Claim(msgspec.Struct):
    """A cell of one row: what is asked, its key, and the answers that it has, in the order in which they came. `number`
    is which of several equal calls it is; `others` are the further samples of the same call, each a cell of its own.
    """

    asked: Asked
    key: bytes
    row: int
    answers: tuple[Answer, ...] = ()
    number: int = 0
    others: tuple[Claim, ...] = ()

    @property
    def samples(self) -> tuple[Claim, ...]:
        """All samples: this cell, and the others."""
        return (self, *self.others)


class Answers(Protocol):
    """What is claimed of: a store, or one that is only read."""

    def find(self, keys: Sequence[bytes]) -> Mapping[bytes, tuple[Answer, ...]]: ...

    def number(self, base: bytes, row: int) -> int | None: ...

    def claim(self, base: bytes, row: int, number: int) -> None: ...

    def adopt(self, key: bytes, row: int) -> None: ...


class Claims:
    """The claims of one run over a store; `digests` are those of all rows of the input, in its order."""

    def __init__(self, store: Answers, digests: Sequence[int]) -> None:
        self._store = store
        self._rows = RowNames(digests)
        self._held: dict[bytes, int] = {}
        """The rows whose cells are claimed and have no answer yet, by key."""
        self._hints: dict[bytes, int] = {}
        """Below which numbers of a call all were looked at in this run; what is forgotten is looked at again."""

    def identity(self, digest: int) -> int:
        """What the next row with this digest is known by."""
        return self._rows.next_of((digest,))[0]

    def identities(self, digests: Sequence[int]) -> list[int]:
        """The same of several rows, in their order."""
        return self._rows.next_of(digests)

    def claim(self, step: Step, row: int, values: Mapping[str, Any], columns: Mapping[str, Any]) -> Claim:
        """The cell of `step` for a row, by its identity, its values and its columns, with what is kept for it. Raises
        `NotAsked`. Release it when it has its answer, or will not be asked.
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
        ask = asking(step)
        for row, values, columns in rows:
            try:
                asked = ask(values, columns)
            except NotAsked as error:
                claims.append(error)
            else:
                claims.append(Claim(asked, asked.base, row))
        self._look_up(step, [claim for claim in claims if isinstance(claim, Claim)])
        return claims

    def claim_asked(self, step: Step, row: int, asked: Asked) -> Claim:
        """The cell of `step` for a row of which it is known what is `asked`, as by `claim`."""
        claim = Claim(asked, asked.base, row)
        self._look_up(step, [claim])
        return claim

    def _look_up(self, step: Step, claims: Sequence[Claim]) -> None:
        """Find the answers to new claims, and make them the cells of their rows."""
        found = self._store.find([claim.key for claim in claims])
        shared, samples = step.share, step.samples
        for claim in claims:
            claim.answers = answers = found.get(claim.key, ())
            if not shared and not (answers and answers[0].row == claim.row):
                self._take(claim)
            if samples > 1:
                self._add_samples(claim, samples)

    def _add_samples(self, claim: Claim, count: int) -> None:
        """Put the other samples to a cell, which have its number."""
        keys = [numbered_key(claim.asked.base, claim.number, sample) for sample in range(1, count)]
        found = self._store.find(keys)
        claim.others = tuple(Claim(claim.asked, key, claim.row, found.get(key, ())) for key in keys)

    def release(self, claim: Claim) -> None:
        """Let go of a cell: it has its answer, or is left to who asks next."""
        held = self._held
        if held and held.get(claim.key) == claim.row:
            del held[claim.key]

    def _take(self, claim: Claim) -> None:
        """Give a claim the number of its row, where the answer under the call's own key is not that row's."""
        base, row = claim.key, claim.row
        if not self._is_free(base, row, claim.answers):
            number = self._store.number(base, row)
            if number is None or not self._get(claim, base, number):
                number = self._hints.pop(base, 0)
                while not self._get(claim, base, number):
                    number += 1
                self._hints[base] = number + 1
                if len(self._hints) > _MOST_HINTS:
                    del self._hints[next(iter(self._hints))]
                if number:
                    self._store.claim(base, row, number)
        self._held[claim.key] = row
        if claim.answers and claim.answers[0].row != row:
            self._store.adopt(claim.key, row)

    def _get(self, claim: Claim, base: bytes, number: int) -> bool:
        key = numbered_key(base, number)
        answers = self._store.find([key]).get(key, ())
        if not self._is_free(key, claim.row, answers):
            return False
        claim.key, claim.answers, claim.number = key, answers, number
        return True

    def _is_free(self, key: bytes, row: int, answers: tuple[Answer, ...]) -> bool:
        """Whether a row may have this cell: nobody who is in the input has it."""
        held = self._held.get(key)
        if held is not None:
            return held == row
        return not answers or answers[0].row == row or not self._rows.present(answers[0].row)
