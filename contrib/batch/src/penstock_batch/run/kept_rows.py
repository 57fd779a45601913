"""What is kept of rows before anything is called: their cells are claimed, step by step and many rows at once.

A row of which every cell has an answer that does is over here, and never comes near the scheduler. Of the others all
that is known goes along, so that nothing is claimed twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from penstock_batch.calls.claims import Claim, Claims
from penstock_batch.calls.judging import Accepted, judge
from penstock_batch.pipeline.steps import Step
from penstock_batch.rows.reader import Row

__all__ = ["KeptRow", "KeptRows"]


@attrs.define
class KeptRow:
    """A row with what is kept for it: the values of `finished` steps, and the cells claimed that have none."""

    row: Row
    identity: int
    values: dict[str, Any]
    finished: dict[str, Any] = attrs.field(factory=dict)
    claims: dict[str, Claim] = attrs.field(factory=dict)


class KeptRows:
    """The reader of what is kept, for rows in the order of the input."""

    def __init__(self, steps: Sequence[Step], needs: Mapping[str, Sequence[str]], claims: Claims) -> None:
        self._steps = steps
        self._needs = needs
        self._claims = claims

    def of(self, rows: Sequence[Row]) -> list[KeptRow]:
        """What is kept of each of these rows."""
        identity = self._claims.identity
        found = [KeptRow(row, identity(row.digest), dict(row.values)) for row in rows]
        for step in self._steps:
            needs = self._needs[step.name]
            able = found if not needs else [each for each in found if all(need in each.finished for need in needs)]
            claims = self._claims.claim_all(step, [(each.identity, each.values, each.row.values) for each in able])
            for each, claim in zip(able, claims, strict=True):
                if not isinstance(claim, Claim):
                    continue  # it cannot be asked: that is said when its turn comes
                judged = judge(step, claim.answers, each.values)
                if isinstance(judged, Accepted):
                    each.finished[step.name] = each.values[step.name] = judged.value
                else:
                    each.claims[step.name] = claim
        return found
