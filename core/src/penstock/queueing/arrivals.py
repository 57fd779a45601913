"""When which item came, in a few numbers: items are numbered as they come, and many come at one moment."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

__all__ = ["Arrivals"]

KEPT: Final = 4096
"""How many moments are kept. With more, every other is given up: then an item counts as a little older."""


class Arrivals:
    """Numbers of items to the moments at which they came. Pure."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._moments: list[float] = []
        self.latest: float | None = None
        """The moment at which items came last."""

    def begin(self, number: int, now: float) -> None:
        """Items from this number on come now."""
        if now == self.latest:
            return
        self.latest = now
        if len(self._numbers) >= KEPT:
            self._numbers, self._moments = self._numbers[::2], self._moments[::2]
        self._numbers.append(number)
        self._moments.append(now)

    def moment_of(self, number: int) -> float:
        """When the item of this number came. Raises `LookupError` if none had come by then."""
        at = bisect_right(self._numbers, number)
        if not at:
            raise LookupError(f"no item {number} has come")
        return self._moments[at - 1]

    def forget(self) -> None:
        """Nothing that came is there any more."""
        self._numbers, self._moments, self.latest = [], [], None
