"""A row in work: its values so far, the cells that it has claimed, and which can start, run or are over. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock_batch.calls.claims import Claim
from penstock_batch.rows.reader import Row

__all__ = ["RowInWork"]


class RowInWork:
    """One row in work, known by its `identity`. `needs` are each step's needs among steps; `finished` the values of the
    steps that are done and `members` the columns that those became, `claims` the cells that were asked for already, and
    have no answer that does.
    """

    def __init__(
        self,
        row: Row,
        identity: int,
        needs: Mapping[str, Sequence[str]],
        finished: Mapping[str, Any],
        claims: dict[str, Claim],
        members: Mapping[str, Any] | None = None,
    ) -> None:
        self.index = row.index
        self.identity = identity
        self.columns = row.values
        self.claims = claims
        self.group = 0
        self.failed: tuple[str, str, Any] | None = None
        """The step that could not be done, why, and the last words of its model, where there is one."""
        self.empty: set[str] = set()
        """The steps that the row does not want, as far as that was seen when their turn came."""
        self.values = {**row.values, **finished, **(members or {})}
        self._needs = needs
        self._missing = {step for step in needs if step not in finished}
        self._open = set(self._missing)
        self.could_do = frozenset(step for step in self._missing if self._can_start(step))

    @property
    def to_do(self) -> list[str]:
        """The steps that are not done yet, in the pipeline's order."""
        return [step for step in self._needs if step in self._missing]

    @property
    def over(self) -> bool:
        """Whether no cell of the row is going to change any more."""
        return not self._open

    def waits_for(self, step: str) -> list[str]:
        """The steps that must be done before `step` and are not."""
        return [need for need in self._needs[step] if need in self._missing]

    def done(self, step: str, value: Any, members: Mapping[str, Any] | None = None) -> None:
        """Note that a cell is done: what needs it may start. `members` are the columns that its value becomes. Raises
        `KeyError` if it was over already.
        """
        self._open.remove(step)
        self._missing.remove(step)
        self.values[step] = value
        self.values |= members or {}
        freed = {other for other in self._missing if step in self._needs[other] and self._can_start(other)}
        self.could_do = (self.could_do - {step}) | freed

    def ended(self, step: str) -> None:
        """Note that a cell is over and not done: it failed, or will not be carried out. Raises `KeyError` if it was
        over already.
        """
        self._open.remove(step)
        self.could_do -= {step}

    def _can_start(self, step: str) -> bool:
        return not self._missing.intersection(self._needs[step])
