"""What is kept of rows before anything is called: their cells are claimed, step by step and many rows at once.

A row of which every cell has an answer that does is over here, and never comes near the scheduler. Of the others all
that is known goes along, so that nothing is claimed twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from penstock_batch.calls.claims import Claim, Claims
from penstock_batch.calls.judging import Accepted, Rejected, judge
from penstock_batch.pipeline.steps import Step
from penstock_batch.pipeline.templates import ROW, RenderError
from penstock_batch.rows.reader import Row

__all__ = ["LOOKED_AT", "KeptRow", "KeptRows"]

LOOKED_AT: Final = 256
"""Rows of which it is seen together what is kept."""


class KeptRow(msgspec.Struct):
    """A row with what is kept for it: the values of `finished` steps with the cells that are `kept`, and the cells
    claimed that have no answer that does.
    """

    row: Row
    identity: int
    values: dict[str, Any]
    finished: dict[str, Any] = {}
    kept: dict[str, Claim] = {}
    claims: dict[str, Claim] = {}

    def finish(self, step: Step, value: Any) -> None:
        """Note the value of a step, and the columns that it becomes."""
        self.finished[step.name] = self.values[step.name] = value
        if step.criteria.columns:
            self.values |= step.members(value)


class KeptRows:
    """The reader of what is kept, for rows in the order of the input."""

    def __init__(self, steps: Sequence[Step], needs: Mapping[str, Sequence[str]], claims: Claims) -> None:
        self._steps = steps
        self._needs = needs
        self._claims = claims

    def of(self, rows: Sequence[Row], *, leave_slow: bool = False) -> list[KeptRow]:
        """What is kept of each of these rows. With `leave_slow` the cells of a step whose accepting function is slow
        are left open, for a thread to judge, and so are those of one that reads files: here nothing else happens
        meanwhile.
        """
        identities = self._claims.identities([row.digest for row in rows])
        found = [KeptRow(row, known, dict(row.values)) for row, known in zip(rows, identities, strict=True)]
        for step in self._steps:
            name, needs = step.name, self._needs[step.name]
            slow = leave_slow and _is_slow(step)
            alone = step.samples == 1 and step.criteria.accept is None
            able = found if not needs else [each for each in found if all(need in each.finished for need in needs)]
            if step.when is not None:
                able = [each for each in able if self._wants(step, each)]
            if leave_slow and step.files is not None:
                continue
            claims = self._claims.claim_all(step, [(each.identity, each.values, each.row.values) for each in able])
            for each, claim in zip(able, claims, strict=True):
                if not isinstance(claim, Claim):
                    continue  # it cannot be asked: that is said when its turn comes
                if alone:
                    judged: Accepted | Rejected | None = judge(step, claim.answers, each.values)
                else:
                    judged = None if slow else _judged(step, claim, each)
                if isinstance(judged, Accepted):
                    each.finish(step, judged.value)
                    each.kept[name] = claim
                    self._claims.release(claim)
                else:
                    each.claims[name] = claim
        return found

    def _wants(self, step: Step, row: KeptRow) -> bool:
        """Whether the row wants this cell; one that it does not is empty, and so is over."""
        try:
            wanted = step.wanted({**row.values, ROW: row.row.values})
        except RenderError:
            return False  # that is said when its turn comes
        if not wanted:
            row.finish(step, None)
        return wanted


def _is_slow(step: Step) -> bool:
    accept = step.criteria.accept
    return accept is not None and accept.slow


def _judged(step: Step, claim: Claim, row: KeptRow) -> Accepted | Rejected:
    values = row.values if step.criteria.accept is None else {**row.values, ROW: row.row.values}
    if step.samples == 1:
        return judge(step, claim.answers, values)
    found = []
    for sample in claim.samples:
        judged = judge(step, sample.answers, values)
        if isinstance(judged, Rejected):
            return judged
        found.append(judged.value)
    return Accepted(found)
