"""The ids of finished tasks, in as little memory as that takes.

Ids that a caller gave are remembered, since later tasks may name them, and fold into ranges (`id_ranges.py`). Ids that
the scheduler gave count from 1: of those nothing is kept but the last number, and which were dropped.
"""

from __future__ import annotations

from typing import Final

from penstock.readiness.id_ranges import IdRanges

__all__ = ["NUMBERED", "FinishedIds"]

NUMBERED: Final = "task-"
"""The prefix of the ids that the scheduler gives, before the number."""

FOLDED_AT_ONCE: Final = 1024


class _RowGroup:
    """A row group: how many of its tasks are unfinished, and its finished ids until they can be folded."""

    __slots__ = ("finished", "sealed", "unfinished")

    def __init__(self) -> None:
        self.unfinished = 0
        self.finished: list[str] = []
        self.sealed = False


class FinishedIds:
    """The ids of tasks that were completed or dropped."""

    def __init__(self) -> None:
        self._complete: set[str] = set()
        self._dropped: set[str] = set()
        self._loose: list[str] = []
        """The ids without a row group, until there are enough to fold."""
        self._folded = IdRanges()
        self._folded_dropped = IdRanges()
        self._numbered = 0
        self._row_groups: dict[str, _RowGroup] = {}
        self._skipped: set[int] = set()
        """The numbers below the last that the scheduler gave to no task."""

    def count_to(self, number: int) -> None:
        """Note the number of a new id that the scheduler gave, which is larger than any before."""
        if number != self._numbered + 1:
            self._skipped.update(range(self._numbered + 1, number))
        self._numbered = number

    def was_given(self, task_id: str) -> bool:
        """Whether the scheduler gave this id to a task, unfinished or not."""
        digits = task_id.removeprefix(NUMBERED)
        if digits is task_id or not digits.isdecimal() or digits[0] == "0" or len(digits) > 18:
            return False
        return int(digits) <= self._numbered and int(digits) not in self._skipped

    def expect(self, row_group: str) -> None:
        """Note a new task of this row group, which has to end before the ids of the group can fold."""
        self._row_groups.setdefault(row_group, _RowGroup()).unfinished += 1

    def note(self, task_id: str, row_group: str | None, *, dropped: bool, given: bool) -> None:
        """Note that a task has ended; `given`: the scheduler gave its id."""
        remembered = dropped or not given
        if remembered:
            (self._dropped if dropped else self._complete).add(task_id)
        if row_group is not None:
            group = self._row_groups[row_group]
            group.unfinished -= 1
            if remembered:
                group.finished.append(task_id)
            self._fold_sealed(row_group, group)
        elif remembered:
            self._loose.append(task_id)
            if len(self._loose) == FOLDED_AT_ONCE:
                self._fold(self._loose)
                self._loose = []

    def seal(self, row_group: str) -> None:
        """Close a row group to further tasks: when all have ended, their ids fold."""
        group = self._row_groups.setdefault(row_group, _RowGroup())
        group.sealed = True
        self._fold_sealed(row_group, group)

    def _fold_sealed(self, row_group: str, group: _RowGroup) -> None:
        if group.sealed and not group.unfinished:
            del self._row_groups[row_group]
            self._fold(group.finished)

    def _fold(self, finished: list[str]) -> None:
        """Fold ids into ranges of numbers, as far as they have numbers."""
        for ids, folded in ((self._complete, self._folded), (self._dropped, self._folded_dropped)):
            gone = [task_id for task_id in finished if task_id in ids]
            folded.update(gone)
            ids.difference_update(gone)

    def __contains__(self, task_id: str) -> bool:
        """Whether the id was noted. (An id that the scheduler gave and that was completed is not.)"""
        return task_id in self._complete or task_id in self._folded or self.was_dropped(task_id)

    def was_dropped(self, task_id: str) -> bool:
        return task_id in self._dropped or task_id in self._folded_dropped

    def expected(self) -> dict[str, int]:
        """The row groups with unfinished tasks, and how many they have."""
        return {name: group.unfinished for name, group in self._row_groups.items() if group.unfinished}

    def kept(self) -> int:
        """The number of ids, or ranges of them, that are remembered."""
        ids = len(self._complete) + len(self._dropped) + len(self._skipped)
        return ids + self._folded.ranges() + self._folded_dropped.ranges()
