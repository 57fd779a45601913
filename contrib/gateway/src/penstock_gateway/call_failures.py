"""How a call can fail once it was admitted, by whose doing that is."""

from __future__ import annotations

import logging
from typing import Final

import trio

from penstock import PenstockError
from penstock_gateway.refusal import Refusal

__all__ = ["CallFailed", "ClientLeft", "Fault", "NoAnswer", "OutOfTime", "TooLate"]

_log: Final = logging.getLogger("penstock.gateway")


class CallFailed(Exception):
    """A call that failed; what kind of error it is says how. `refusal` is for a client that has nothing of an answer
    yet.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class NoAnswer(CallFailed, ConnectionError):
    """The provider gave no answer, or not the whole of it."""


class TooLate(CallFailed, TimeoutError):
    """The provider took too long."""


class OutOfTime(CallFailed, trio.TooSlowError):
    """The client's own time is over, or it has taken nothing for too long."""


class Fault(CallFailed):
    """It failed on our side, and would elsewhere too."""

    @classmethod
    def of(cls, error: Exception) -> Fault:
        """The fault that is behind an error: a plugin's, or ours, which is logged."""
        if not isinstance(error, PenstockError):
            _log.error("a call ended by a fault of the gateway's own", exc_info=error)
        return cls(Refusal(500, "internal_error", "the gateway could not carry the call out"))


class ClientLeft(BaseException):
    """The client does not want its answer any more: that says nothing of the provider."""
