"""The hold of new calls after a shortage of our own: sockets, ports, memory. Pure.

A call that ends gives back what one other is short of, so it lets one go that is held, or ends the hold. Without one
the hold lasts 0.1 s, and each shortage in a row doubles that, up to 5 s; calls that went out before it began and fail
for the same want are one shortage with it. Nobody but us is to blame: no attempt is used, and no limiter learns.
"""

from __future__ import annotations

from math import inf
from typing import Final

__all__ = ["Hold"]

FIRST: Final = 0.1
LONGEST: Final = 5.0


class Hold:
    """The moment until which no new call begins; `why` in words."""

    def __init__(self) -> None:
        self.until = 0.0
        self.why = ""
        self._began = -inf
        self._seconds = FIRST

    def begin(self, why: str, went_out_at: float, now: float) -> None:
        """A call that went out then could not begin for want of something of ours."""
        if went_out_at < self._began:
            return
        self.why = why
        self._began = now
        self.until = max(self.until, now + self._seconds)
        self._seconds = min(2 * self._seconds, LONGEST)

    def answered(self) -> None:
        """A call was answered: what is short now is another shortage than before."""
        self._seconds = FIRST

    def end(self) -> None:
        """A call has ended, and nobody is held who could have what it gives back."""
        self.until = 0.0
