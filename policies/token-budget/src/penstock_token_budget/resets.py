"""Whether resets show a window that is shorter than was believed.

A limit of 20 that is reported without its window may be 20 a minute or 20 a second, and who is paced for a minute
never sees a second's bucket empty. But the resets show it: 50 ms after a call of 20 a minute that call would still be
missing.

    against    from the most that was ever left, remaining is short by `used`, and of requests by one at least, as the
               call itself counts. At limit ÷ window that takes used × window ÷ limit to come back, however little of
               the limit the provider keeps in its bucket. A reset of less than half of that speaks against the
               window: the half is for resets that are rounded down.
    agreeing   several speak against it in less than half a window, none of them is longer than the shorter window,
               and more than twice as much went out meanwhile as counts as used at the end. So neither a fixed window
               that ends soon is taken for a short one, in which what went out still counts, nor one that has just
               begun, whose reset is long, nor a window that slides.

What agrees is taken as the shortest typical window that no reset exceeds. That may be too short; a longer reset then
says so, and the caller does not ask again for one as short.
"""

from __future__ import annotations

from typing import Final

__all__ = ["SHORT", "Resets", "exceeds"]

SHORT: Final[tuple[float, ...]] = (1.0, 10.0)
"""Windows in seconds, rising."""
AGREEING: Final = 4
"""So many answers must speak against a window."""
UNSURE: Final = 2.0
"""What was sent by our count may be more than by the provider's, by this factor: tokens are estimates."""


def exceeds(reset: float, window: float) -> bool:
    """Whether a reset is longer than a short window, and not by rounding."""
    return reset > 1.25 * window


class Resets:
    """What the answers of one dimension reported, in the order in which their calls went out."""

    def __init__(self, *, exact: bool) -> None:
        self._own = 1.0 if exact else 0.0
        self._most = 0.0
        self._begun: tuple[float, float] | None = None
        self._against = 0
        self._longest = 0.0

    def shorter(
        self, limit: float, window: float, remaining: float, reset: float, sent_at: float, sent: float
    ) -> float | None:
        """Take in one answer. Returns the shorter window, in seconds, as soon as enough answers agree on one.

        `window` is what is believed, `sent` what had gone out with that call, from any beginning.
        """
        self._most = max(self._most, remaining)
        if reset == 0:
            return None
        shorter = [seconds for seconds in SHORT if seconds < window]
        if not shorter or exceeds(reset, shorter[-1]):
            self._begun = None
            return None
        if self._begun is None or sent_at - self._begun[0] >= window / 2:
            self._begun = sent_at, sent
            self._against, self._longest = 0, 0.0
        self._longest = max(self._longest, reset)
        used = max(self._own, self._most - remaining)
        self._against += reset < used * window / limit / 2
        if self._against < AGREEING or sent - self._begun[1] <= UNSURE * (limit - remaining) + 1:
            return None
        self._begun = None
        return next(seconds for seconds in shorter if not exceeds(self._longest, seconds))
