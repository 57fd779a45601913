"""The hold of new calls after a shortage of our own: sockets, ports, memory. Pure.

A call that ends gives back what others are short of, so it ends the hold; without one it lasts 0.1 s, and each
shortage in a row doubles that, up to 5 s. Nobody but us is to blame: no attempt is used, and no limiter learns.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Hold"]

FIRST: Final = 0.1
LONGEST: Final = 5.0


class Hold:
    """The moment until which no new call begins; `why` in words."""

    def __init__(self) -> None:
        self.until = 0.0
        self.why = ""
        self._seconds = FIRST

    def begin(self, why: str, now: float) -> None:
        """A call could not begin for want of something of ours."""
        self.why = why
        self.until = max(self.until, now + self._seconds)
        self._seconds = min(2 * self._seconds, LONGEST)

    def end(self, *, answered: bool) -> None:
        """A call has ended; one that was `answered` shows that the shortage is over."""
        self.until = 0.0
        if answered:
            self._seconds = FIRST
