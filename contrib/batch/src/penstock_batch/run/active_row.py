"""An active row, which is in memory: its values so far, and which of its cells can start, run or are over. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock_batch.rows.reader import Row

__all__ = ["ActiveRow"]


class ActiveRow:
    """One active row. `needs` are each step's needs among steps; `finished` the values of the steps that were done
    before."""

    def __init__(self, row: Row, group: int, needs: Mapping[str, Sequence[str]], finished: Mapping[str, Any]) -> None:
        self.index = row.index
        self.group = group
        self.columns = row.values
        self.failed = False
        """Whether one of its cells could not be done; the reason is in the journal."""
        self.values = {**row.values, **finished}
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

    def done(self, step: str, value: Any) -> None:
        """Note that a cell is done: what needs it may start. Raises `KeyError` if it was over already."""
        self._open.remove(step)
        self._missing.remove(step)
        self.values[step] = value
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
