"""The highest figure that was seen under each name, of so many names that memory has a bound."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

__all__ = ["HighestByName"]

KEPT: Final = 256
"""So many names are kept; with one more, half of them are forgotten, and from then on all with figures as low."""


class HighestByName:
    """Names to the highest figure that was noted of each. `forgot` says whether any had to be forgotten."""

    def __init__(self) -> None:
        self._enough = 0
        """A figure that is not above this is not worth a name's place."""
        self.figures: dict[Hashable, int] = {}
        self.forgot = False

    def note(self, name: Hashable, figure: int) -> int:
        """The figure, which is kept if it is the highest of its name."""
        if name in self.figures:
            self.figures[name] = max(figure, self.figures[name])
        elif figure > self._enough:
            if len(self.figures) >= KEPT:
                self._forget_the_lowest()
            self.figures[name] = figure
        elif self._enough:
            self.forgot = True
        return figure

    def _forget_the_lowest(self) -> None:
        kept = sorted(self.figures.items(), key=lambda pair: -pair[1])[: KEPT // 2]
        self.figures, self._enough, self.forgot = dict(kept), kept[-1][1], True

    def copy(self) -> HighestByName:
        """The same, to go on from."""
        other = HighestByName()
        other.figures, other.forgot, other._enough = dict(self.figures), self.forgot, self._enough
        return other
