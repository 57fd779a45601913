"""A set of ids that stays small when the ids are numbered.

`column/17` is kept as the number 17 under `column/`, and runs of numbers as ranges. So the ids of a column
of a million finished rows take the room of one. Ids without a number at the end are kept as they are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

__all__ = ["IdRanges"]


class IdRanges:
    """A growing set of ids. Membership costs a bisection among the ranges of one prefix."""

    def __init__(self) -> None:
        self._plain: set[str] = set()
        self._starts: dict[str, list[int]] = {}
        self._ends: dict[str, list[int]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, item: str) -> bool:
        if not self._count:
            return False
        prefix, number = _split(item)
        if number is None:
            return item in self._plain
        at = bisect_right(self._starts.get(prefix, ()), number) - 1
        return at >= 0 and number <= self._ends[prefix][at]

    def update(self, items: Iterable[str]) -> None:
        """Add these ids."""
        numbers: dict[str, list[int]] = {}
        for item in items:
            prefix, number = _split(item)
            if number is not None:
                numbers.setdefault(prefix, []).append(number)
            elif item not in self._plain:
                self._plain.add(item)
                self._count += 1
        for prefix, fresh in numbers.items():
            self._merge(prefix, sorted(fresh))

    def _merge(self, prefix: str, fresh: list[int]) -> None:
        starts = self._starts.setdefault(prefix, [])
        ends = self._ends.setdefault(prefix, [])
        for number in fresh:
            at = bisect_right(starts, number) - 1
            if at >= 0 and number <= ends[at]:
                continue
            self._count += 1
            joins_left = at >= 0 and ends[at] == number - 1
            joins_right = at + 1 < len(starts) and starts[at + 1] == number + 1
            if joins_left and joins_right:
                ends[at] = ends.pop(at + 1)
                del starts[at + 1]
            elif joins_left:
                ends[at] = number
            elif joins_right:
                starts[at + 1] = number
            else:
                starts.insert(at + 1, number)
                ends.insert(at + 1, number)

    def ranges(self) -> int:
        """The number of ranges and plain ids that are kept: what the set costs."""
        return len(self._plain) + sum(map(len, self._starts.values()))


def _split(item: str) -> tuple[str, int | None]:
    """The id as prefix and number; no number if its digits would not come back the same, or are too many."""
    prefix = item.rstrip("0123456789")
    digits = item[len(prefix) :]
    if not digits or (digits[0] == "0" and digits != "0") or len(digits) > 18:
        return item, None
    return prefix, int(digits)
