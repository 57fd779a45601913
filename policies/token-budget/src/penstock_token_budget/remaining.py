"""What is left of a limit at the provider, between one answer that reports it and the next.

An answer reports what remained when its own call came in. Since then the provider has refilled, and we have sent more:

    left = remaining + rate × (time since that call went out) − what has gone out after it

and never more than the provider keeps. Only the call that went out last of those that were answered counts: answers
overtake each other.

When the next answer comes, less may be left than that. Of requests, whose number is exact, what is missing on
average per second is what others use with the same key: from then on the refill is slower by it. Whatever else is
missing, as estimates of tokens may be too low, is kept in reserve.
"""

from __future__ import annotations

from math import inf
from typing import Final

__all__ = ["Remaining"]

WEIGHT: Final = 0.1
"""Of the last answer, in what is averaged over answers."""
MOST_OTHERS: Final = 0.9
"""Others are taken to use this part of the limit at most: a call of our own now and then is how we learn that they
have ended."""


class Remaining:
    """Amounts in requests or tokens, `rate` per second, times in moments of the run's clock."""

    def __init__(self, rate: float, kept: float, *, exact: bool) -> None:
        self.rate = rate
        self.kept = kept
        """What the provider has when its bucket is full."""
        self.others = 0.0
        """What others use per second."""
        self.unsure = 0.0
        """By how much less than expected is left, on average over answers."""
        self._full_at = -inf  # when the bucket were full again, without others
        self._since = 0.0  # when the call went out whose answer this is known from
        self._exact = exact
        self._missing = 0.0
        self._seconds = 0.0

    def charge(self, amount: float, now: float) -> None:
        """Count an amount that goes out, or correct one by the difference (< 0: it was less)."""
        self._full_at = max(self._full_at, now) + amount / self.rate

    def left(self, now: float) -> float:
        """What is left now."""
        if self._full_at == -inf:
            return self.kept
        return min(self.kept, self.kept - (self._full_at - now) * self.rate - self.others * (now - self._since))

    def there_at(self, amount: float) -> float:
        """The moment at which so much is left, and the reserve."""
        if self._full_at == -inf:
            return -inf
        missing = amount + self.unsure - self.kept + (self._full_at - self._since) * self.rate
        return self._since + missing / (self.rate - self.others)

    def hear(self, remaining: float, rate: float, kept: float, sent_at: float, sent_since: float, now: float) -> None:
        """The call that went out at `sent_at` is answered: so much remained. `sent_since` has gone out after it."""
        left = min(kept, remaining + rate * (now - sent_at) - sent_since)
        if self._full_at > -inf and rate == self.rate:
            seconds = sent_at - self._since
            missing = min(kept, kept - (self._full_at - now) * rate) - left
            self._missing += WEIGHT * (missing - self._missing)
            self._seconds += WEIGHT * (seconds - self._seconds)
            self.unsure += WEIGHT * (max(0.0, missing - self.others * seconds) - self.unsure)
            if self._seconds > 0 and self._exact:
                self.others = min(MOST_OTHERS * rate, max(0.0, self._missing / self._seconds))
        else:
            self._missing = self._seconds = self.others = self.unsure = 0.0
        self.rate, self.kept, self._since = rate, kept, sent_at
        self._full_at = now + (kept - left) / rate
