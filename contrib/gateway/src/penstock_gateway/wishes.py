"""What a client wishes for its call, as its headers say it: by when it wants the answer, its priority among the calls
of its key, and its session. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from penstock import MOST_URGENT
from penstock_gateway.refusal import Refusal
from penstock_gateway.request_parser import ClientRequest
from penstock_gateway.timing import seconds_left

__all__ = ["LONGEST_SESSION", "Wishes", "priority_of", "session_of", "wishes_of"]

_WHOLE: Final = re.compile(r"[+-]?\d{1,4}", re.ASCII)
LONGEST_SESSION: Final = 256
"""Characters."""


class Wishes:
    """`seconds` in which the answer must be there; `None`: there is no such bound."""

    __slots__ = ("priority", "seconds", "session")

    def __init__(self, seconds: float | None = None, priority: int = 0, session: str = "") -> None:
        self.seconds = seconds
        self.priority = priority
        self.session = session


_NONE: Final = Wishes()
_HEADERS: Final = frozenset(
    {b"x-request-timeout", b"x-penstock-deadline", b"x-penstock-priority", b"x-penstock-session"}
)


def wishes_of(request: ClientRequest, wall: Callable[[], float]) -> Wishes:
    """The wishes of a request; `wall` tells the time of day, in seconds of Unix time. Raises `Refusal` for what is
    none.
    """
    if _HEADERS.isdisjoint(request.first):
        return _NONE
    header = request.header
    return Wishes(seconds_left(header, wall()), priority_of(header), session_of(header))


def priority_of(header: Callable[[bytes], str | None]) -> int:
    """The priority that `x-penstock-priority` asks for, 0 without it. Raises `Refusal` for what is none.

    >>> priority_of({b"x-penstock-priority": "-5"}.get)
    -5
    """
    text = header(b"x-penstock-priority")
    if text is None:
        return 0
    if not _WHOLE.fullmatch(text) or not -MOST_URGENT <= int(text) <= MOST_URGENT:
        what = f"x-penstock-priority must be a whole number from -{MOST_URGENT} to {MOST_URGENT}"
        raise Refusal(400, "invalid_header", what)
    return int(text)


def session_of(header: Callable[[bytes], str | None]) -> str:
    """The session that `x-penstock-session` names; empty without it. Raises `Refusal` for one that is too long."""
    text = header(b"x-penstock-session") or ""
    if len(text) > LONGEST_SESSION:
        what = f"x-penstock-session must have at most {LONGEST_SESSION} characters"
        raise Refusal(400, "invalid_header", what)
    return text
