"""The window of rows in memory, which says whether there is room for more. Pure.

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
    """The active rows, by the steps that each could do next."""

    def __init__(self, rows_in_flight: int, rows_waiting: int) -> None:
        self._in_flight = rows_in_flight
        self._waiting = rows_waiting
        self._next: dict[int, frozenset[str]] = {}
        # Rows differ little in what they could do next: a handful of sets, whatever the number of rows.
        self._rows_by_next: Counter[frozenset[str]] = Counter()

    def __len__(self) -> int:
        return len(self._next)

    def enter(self, row: int, could_do: frozenset[str]) -> None:
        """Add a row that becomes active. Raises `ValueError` if it is already."""
        if row in self._next:
            raise ValueError(f"row {row} is active already")
        self._next[row] = could_do
        self._rows_by_next[could_do] += 1

    def change(self, row: int, could_do: frozenset[str]) -> None:
        """Change the steps that a row could do next. Raises `KeyError` if it is not active."""
        self._forget(self._next[row])
        self._next[row] = could_do
        self._rows_by_next[could_do] += 1

    def leave(self, row: int) -> None:
        """Remove a row that is done or given up. Raises `KeyError` if it is not active."""
        self._forget(self._next.pop(row))

    def could_do(self, step: str) -> int:
        """The number of rows that could do `step` next, or are at it."""
        return sum(count for could_do, count in self._rows_by_next.items() if step in could_do)

    def waiting(self, cooling: Collection[str]) -> int:
        """The number of rows of which every next step is among those that are `cooling`."""
        steps = frozenset(cooling)
        if not steps:
            return 0
        return sum(count for could_do, count in self._rows_by_next.items() if could_do and could_do <= steps)

    def room(self, cooling: Collection[str] = ()) -> int:
        """The number of rows that may become active while the steps in `cooling` wait; 0 or less: none."""
        return self._in_flight - len(self._next) + min(self.waiting(cooling), self._waiting)

    def _forget(self, could_do: frozenset[str]) -> None:
        self._rows_by_next[could_do] -= 1
        if not self._rows_by_next[could_do]:
            del self._rows_by_next[could_do]
