"""What is remembered of a call that is out."""

from __future__ import annotations

__all__ = ["Ticket"]


class Ticket:
    """One call that is `out`, or has come back."""

    __slots__ = ("acquired_at", "out")

    def __init__(self, acquired_at: float) -> None:
        self.acquired_at = acquired_at
        self.out = True
