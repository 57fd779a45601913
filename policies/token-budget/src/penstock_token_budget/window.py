"""A limit over hours or days: so much in any window, used as it is needed and not spread out.

A sliding window over sub-windows: amounts are added up per sixtieth of the window and leave it together, so that the
memory is bounded and the moment at which there is room again is exact. Each leaves when the last call that it could
hold is a whole window old: no window, wherever it begins, sees more than the limit and what the last call in it took
beyond. A bucket that is refilled would allow twice the limit in the first window (Cloudflare's and Stripe's sliding
window counters estimate that boundary; here it is exact).
"""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["SlidingWindow", "SubWindow"]

PARTS: Final = 60


class SubWindow:
    """What went out in one sub-window, and when that counts no longer."""

    __slots__ = ("amount", "expires_at")

    def __init__(self, expires_at: float) -> None:
        self.expires_at = expires_at
        self.amount = 0.0


class SlidingWindow:
    """At most `limit` in `seconds`. A call may go out while less than that has been used."""

    __slots__ = ("_parts", "limit", "seconds")

    def __init__(self, limit: float, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self._parts: deque[SubWindow] = deque()

    def adopt(self, previous: SlidingWindow) -> None:
        """What went out in another window of the same length went out in this one."""
        self._parts = deque(previous._parts)

    def charge(self, amount: float, now: float) -> SubWindow:
        """Count an amount that goes out. The answer is what a correction needs."""
        parts = self._parts
        while parts and parts[0].expires_at <= now:
            parts.popleft()
        width = self.seconds / PARTS
        expires_at = (now // width + 1 + PARTS) * width
        if not parts or parts[-1].expires_at < expires_at:
            parts.append(SubWindow(expires_at))
        parts[-1].amount += amount
        return parts[-1]

    def used(self, now: float) -> float:
        """What counts now."""
        return sum(part.amount for part in self._parts if part.expires_at > now)

    def ready_at(self, now: float) -> float:
        """The moment from which a call may go out; `now` if that is so already."""
        used = self.used(now)
        if used < self.limit:
            return now
        for part in self._parts:
            if part.expires_at > now:
                used -= part.amount
                if used < self.limit:
                    return part.expires_at
        raise AssertionError(f"{used} of {self.limit} are used by nobody")
