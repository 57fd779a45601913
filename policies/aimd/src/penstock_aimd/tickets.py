"""What is remembered of a call that is out, and of those that went out at the same moment.

A limit that grows by one lets two calls go at once: one instead of an answered call, and one more. Which of them
comes to the provider first is chance, so the refused one need not be the one that was admitted last. Taken by its own
number, a provider of 20 slots would seem to have 19. So the calls of one moment share what their refusals show.
"""

from __future__ import annotations

__all__ = ["Moment", "Ticket"]


class Moment:
    """The calls that went out at one moment, `at` in seconds of the run's clock.

    With all of them `highest` were in flight. Each of them that is `refused` shows that one less fits.
    """

    __slots__ = ("at", "highest", "refused")

    def __init__(self, at: float, highest: int = 0) -> None:
        self.at = at
        self.highest = highest
        self.refused = 0

    @property
    def fits(self) -> int:
        """How many in flight were not too many, as far as is known."""
        return self.highest - self.refused

    def admits(self, in_flight: int) -> None:
        """One more goes out; with it, and without those of this moment that were refused already, so many are out."""
        self.highest = max(self.highest, in_flight + self.refused)

    def refuses(self) -> int:
        """One of them is refused; how many in flight were too many by this."""
        too_many = self.fits
        self.refused += 1
        return too_many


class Ticket:
    """One call that is `out`, or has come back: its number, the limit it went out under, how many were in flight with
    it, the moment at which it went, and whether it is a probe.
    """

    __slots__ = ("in_flight", "limit", "moment", "number", "out", "probe")

    def __init__(self, number: int, limit: float, in_flight: int, moment: Moment, probe: bool) -> None:
        self.out = True
        self.number = number
        self.limit = limit
        self.in_flight = in_flight
        self.moment = moment
        self.probe = probe
