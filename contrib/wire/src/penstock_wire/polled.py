"""Whose a socket is that a poller watches."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Polled"]


class Polled(Protocol):
    """Whose a socket is."""

    def ready(self, events: int) -> None:
        """Something can be read or written: `selectors.EVENT_READ`, `selectors.EVENT_WRITE`, or both."""

    def failed(self) -> None:
        """`ready` has raised: it is of no use any more. Must not raise."""
