"""Which rows are in memory, and whether there is room for more. Pure.

Row groups are how rows are read and scheduled; they hold nothing. What bounds memory is the number of rows, and each
row gives back its place when it is done, whatever the others of its group do. A row whose every next step waits for a
provider that is cooling down gives up its place until then, so a provider that is out does not keep the steps of
another from new rows; only `rows_waiting` bounds those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

__all__ = ["RowWindow"]


class RowWindow:
    """The rows in hand, by the steps that each could do next."""

    def __init__(self, rows_in_flight: int, rows_waiting: int) -> None:
        self._in_flight = rows_in_flight
        self._waiting = rows_waiting
        self._next: dict[int, frozenset[str]] = {}
        # Rows differ little in what they could do next: a handful of sets, whatever the number of rows.
        self._rows_by_next: Counter[frozenset[str]] = Counter()

    def __len__(self) -> int:
        return len(self._next)

    def enter(self, row: int, could_do: frozenset[str]) -> None:
        """A row is taken in hand. Raises `ValueError` if it is already."""
        if row in self._next:
            raise ValueError(f"row {row} is in hand already")
        self._next[row] = could_do
        self._rows_by_next[could_do] += 1

    def change(self, row: int, could_do: frozenset[str]) -> None:
        """What the row could do next has changed. Raises `KeyError` if it is not in hand."""
        self._forget(self._next[row])
        self._next[row] = could_do
        self._rows_by_next[could_do] += 1

    def leave(self, row: int) -> None:
        """The row is done, or given up. Raises `KeyError` if it is not in hand."""
        self._forget(self._next.pop(row))

    def could_do(self, step: str) -> int:
        """Rows that could do `step` next, or are at it."""
        return sum(count for could_do, count in self._rows_by_next.items() if step in could_do)

    def waiting(self, cooling: Collection[str]) -> int:
        """Rows of which every next step is among those that are `cooling`."""
        steps = frozenset(cooling)
        if not steps:
            return 0
        return sum(count for could_do, count in self._rows_by_next.items() if could_do and could_do <= steps)

    def room(self, cooling: Collection[str] = ()) -> int:
        """How many more rows may be taken in hand while the steps in `cooling` wait; 0 or less: none."""
        return self._in_flight - len(self._next) + min(self.waiting(cooling), self._waiting)

    def _forget(self, could_do: frozenset[str]) -> None:
        self._rows_by_next[could_do] -= 1
        if not self._rows_by_next[could_do]:
            del self._rows_by_next[could_do]
