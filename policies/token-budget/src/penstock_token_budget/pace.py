"""A rate kept evenly: the generic cell rate algorithm, paid for afterwards.

Source: GCRA as virtual scheduling, ITU-T I.371 (2004), Annex A; the same thing as a token bucket (RFC 2697), kept
as a moment instead of a level. The whole state is `free_at`, the moment at which all that went out is paid for at
`rate`. A call may go out from then on, and puts it off by its amount ÷ rate. What is not used is saved for at most
`depth` seconds. In any stretch of T seconds no more goes out than rate × (T + depth), and one call.

Two things differ from the text. The textbook asks whether *this* amount still fits; here the debt must be paid, and
then the next call goes, whatever its size. So everybody waits for the same moment: a large call is never overtaken
by small ones that still fit, and when to come back is one number, exact, the same for all. And a charge can be
corrected when the true amount is known, either way.
"""

from __future__ import annotations

from math import inf

__all__ = ["Pace"]


class Pace:
    """`rate` per second; `depth` in seconds. Times are moments of the run's clock. It begins with nothing saved."""

    __slots__ = ("depth", "free_at", "rate")

    def __init__(self, rate: float, depth: float) -> None:
        self.rate = rate
        self.depth = depth
        self.free_at = -inf

    def charge(self, amount: float, now: float) -> None:
        """Count an amount that goes out, or correct one by the difference (< 0: gives back)."""
        free_at = self.free_at
        if free_at == -inf:
            free_at = now
        elif free_at < now - self.depth:
            free_at = now - self.depth
        self.free_at = free_at + amount / self.rate

    def level(self, now: float) -> float:
        """What is saved up, or, below 0, what is not paid for yet."""
        saved = 0.0 if self.free_at == -inf else min(now - self.free_at, self.depth)
        return saved * self.rate

    def lower(self, level: float, now: float) -> None:
        """There is no more than `level` after all."""
        self.free_at = max(self.free_at, now - level / self.rate)

    def put(self, level: float, now: float) -> None:
        """There is exactly `level`."""
        self.free_at = now - level / self.rate

    def change(self, rate: float, depth: float, now: float) -> None:
        """Go on at another rate, from the same level."""
        if rate != self.rate or depth != self.depth:
            level = self.level(now)
            self.rate, self.depth = rate, depth
            if self.free_at > -inf:
                self.put(level, now)
