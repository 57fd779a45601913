"""What a client wishes of the line, as its headers say it: its priority among the calls of its key, and its session.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from penstock import MOST_URGENT
from penstock_gateway.refusal import Refusal

__all__ = ["LONGEST_SESSION", "priority_of", "session_of"]

_WHOLE: Final = re.compile(r"[+-]?\d{1,4}", re.ASCII)
LONGEST_SESSION: Final = 256
"""Characters."""


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
