"""A token bucket: a limit on an amount at once and on an amount per second.

Source: the "leaky bucket as a meter" of ITU-T I.371, in the form that every provider documents: `burst`
units are there at the start, `rate` units come back each second, never more than `burst` are kept.

One rule goes beyond the textbook. An amount larger than the burst could never fit, yet providers do answer one very
long prompt; so it passes when the bucket is full and leaves it in debt. The long-run rate stays exactly `rate`.
"""

from __future__ import annotations

__all__ = ["TokenBucket"]


class TokenBucket:
    """A bucket of units, of which `rate` come back a second, up to `burst`. Times are seconds of the caller's clock."""

    __slots__ = ("_at", "_level", "_slack", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._level = float(burst)
        self._at = now
        # A call that waits exactly as long as `wait_for` said must get in; seconds since an arbitrary epoch are
        # only good to about 1e-10, so the level then computed can miss the amount by that times the rate.
        self._slack = max(1e-6, rate * 1e-9)

    def level(self, now: float) -> float:
        """The units in the bucket at `now`; negative while a debt is being repaid."""
        return min(self.burst, self._level + (now - self._at) * self.rate)

    def wait_for(self, amount: float, now: float) -> float:
        """The seconds from `now` until `amount` fits, if nothing is taken meanwhile; 0.0 if it fits now."""
        missing = min(amount, self.burst) - self.level(now)
        return 0.0 if missing <= self._slack else missing / self.rate

    def take(self, amount: float, now: float) -> None:
        """Take `amount`, whether it fits or not: ask `wait_for` first."""
        self._level = self.level(now) - amount
        self._at = now

    def give_back(self, amount: float, now: float) -> None:
        """Return what was taken too much; a negative amount takes what was taken too little."""
        self._level = min(self.burst, self.level(now) + amount)
        self._at = now

    def until_full(self, now: float) -> float:
        """The seconds from `now` until the bucket is back in its first state."""
        return max(0.0, self.burst - self.level(now)) / self.rate
