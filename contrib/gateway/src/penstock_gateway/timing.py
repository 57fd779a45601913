"""By when a client wants its answer, as its headers say it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

from penstock_gateway.refusal import Refusal

__all__ = ["seconds_left"]

LONGEST = 86_400.0


def seconds_left(header: Callable[[bytes], str | None], wall_now: float) -> float | None:
    """The seconds that a call has, by `x-request-timeout` (seconds) and `x-penstock-deadline` (a moment, in seconds of
    Unix time): the fewest, and at most a day; `None` where neither is there. Raises `Refusal` for what is no number.

    >>> seconds_left({b"x-request-timeout": "2.5"}.get, wall_now=0.0)
    2.5
    """
    found = []
    for name, since in ((b"x-request-timeout", 0.0), (b"x-penstock-deadline", wall_now)):
        text = header(name)
        if text is None:
            continue
        try:
            seconds = float(text) - since
        except ValueError:
            seconds = float("nan")
        if not isfinite(seconds) or "_" in text:
            raise Refusal(400, "invalid_header", f"{name.decode()} must be a number of seconds")
        found.append(min(max(seconds, 0.0), LONGEST))
    return min(found, default=None)
