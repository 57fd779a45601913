"""Where each row of a later stage comes from: the row of the stage before, and which of its items it is. Pure.

Rows are numbered from 0 in their stage, in the order of what they were made of; the items of one row in theirs. So a
row's number says nothing by itself, and its whole way back is its name for people: the input's line, and the number of
the item at each split, from 1. Sixteen bytes a row.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable

import attrs

__all__ = ["Lineage", "Origin"]


@attrs.frozen
class Origin:
    """The origin of a row: the `line` of the input, from 1, or `None` for what was gathered of many; `items` are the
    numbers, from 1, of the items that it was split off as, the first split first.
    """

    line: int | None
    items: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.line is None:
            return "a gathered row"
        return ", ".join((f"line {self.line}", *(f"item {item}" for item in self.items)))


class Lineage:
    """The origins of the rows of one stage; `origin_of` gives those of the stage before, `None` for the input's, whose
    rows are told by their line.
    """

    def __init__(self, origin_of: Callable[[int], Origin] | None = None) -> None:
        self._origin_of = origin_of
        self._parents = array("q")
        self._items = array("Q")

    def __len__(self) -> int:
        return len(self._parents)

    def add(self, parent: int | None, item: int = 0) -> None:
        """Add the next row: its parent's index (its line, if that is the input's), and the number of its item, from 1,
        or 0 if it was not split off. Without a parent it was gathered.
        """
        self._parents.append(-1 if parent is None else parent)
        self._items.append(item)

    def cut(self, length: int) -> None:
        """Take back all rows but the first `length`."""
        del self._parents[length:]
        del self._items[length:]

    def origin(self, index: int) -> Origin:
        """The origin of a row."""
        parent, item = self._parents[index], self._items[index]
        if parent < 0:
            return Origin(None)
        before = Origin(parent) if self._origin_of is None else self._origin_of(parent)
        return attrs.evolve(before, items=(*before.items, item)) if item else before
