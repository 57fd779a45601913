"""What a cut costs: the work that the places which were lost by it would have done.

From a cut until it is got over, each place that fitted before and is not in use is lost for that long. Their sum by
the number of those places is the cost in seconds of the whole provider. The time from the refusal to the first success
alone would be too much where the others go on meanwhile; but half of it counts at least, since a refusal is not
free where calls take so long that no place is lost.
"""

from __future__ import annotations

__all__ = ["LostPlaces"]

LEAST = 0.5
"""Of the time since the cut, the part that it costs at least."""


class LostPlaces:
    """The cost of the last cut so far. Times are seconds of the run's clock."""

    def __init__(self) -> None:
        self._places = 1
        self._began = self._since = 0.0
        self._sum = 0.0

    def begin(self, places: int, now: float) -> None:
        """A cut: so many places would have fitted."""
        self._places, self._began, self._since, self._sum = max(places, 1), now, now, 0.0

    def until(self, now: float, in_flight: int) -> None:
        """So many have been in flight from the last count until now."""
        free = self._places - in_flight
        if free > 0:
            self._sum += free * (now - self._since)
        self._since = now

    def seconds(self, now: float) -> float:
        """The cost until now in seconds of the whole provider."""
        return max(self._sum / self._places, LEAST * (now - self._began))
