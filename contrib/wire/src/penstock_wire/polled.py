"""Whose a socket is that a poller watches."""

from __future__ import annotations

from typing import Final, Protocol

__all__ = ["EVENT_LOSS", "Polled"]

EVENT_LOSS: Final = 4
"""That a connection has broken, also where it is neither read nor written. A kqueue does not tell."""


class Polled(Protocol):
    """Whose a socket is."""

    def ready(self, events: int) -> None:
        """Something can be read or written, or the connection has broken: any of `selectors.EVENT_READ`,
        `selectors.EVENT_WRITE` and `EVENT_LOSS` that it is watched for.
        """

    def failed(self) -> None:
        """`ready` has raised: it is of no use any more. Must not raise."""
