"""For how long headers are believed that let nothing go out.

`remaining 0`, and a reset in 32 days, is nonsense as often as it is true, and only the provider can say which. So when
nothing has gone out for `LONGEST` seconds, one call goes out all the same. If it is answered, the next may follow after
a quarter of that time, and in the end at once; if it is refused, the time doubles.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Trust"]

LONGEST: Final = 300.0
MOST: Final = 3600.0
LEAST: Final = 0.01
"""Below this, in seconds, such headers are not believed at all."""


class Trust:
    """The bound on the waits of one limit that headers report."""

    def __init__(self) -> None:
        self._wait = LONGEST
        self._last: float | None = None

    def began(self, now: float) -> None:
        """The limit was heard of."""
        if self._last is None:
            self._last = now

    def went_out(self, now: float) -> None:
        """A call went out."""
        self._last = now

    def ended(self, *, refused: bool) -> None:
        """A call has ended that went out though nothing was left."""
        if refused:
            self._wait = min(max(2 * self._wait, 1.0), MOST)
        else:
            self._wait = self._wait / 4 if self._wait >= LEAST else 0.0

    def until(self) -> float | None:
        """The moment at which a call may go out whatever the headers say; `None`: nothing has gone out yet."""
        return None if self._last is None else self._last + self._wait
