"""What ended a request gate: its waiter queue, named by the plugin that made it, or a fault of the gate's own."""

from __future__ import annotations

import logging
from typing import Final

from penstock.requests.waiters import RequestWaiterQueue
from penstock.words.errors import PenstockError
from penstock.words.plugin_failures import BrokenQueue, OnPluginFailure, PluginMaker, passed_through, what_it_raised

__all__ = ["GateFailure"]

WAITERS: Final = "penstock_request_waiters"

_log: Final = logging.getLogger("penstock.requests")


class GateFailure:
    """The failure of a gate; none until `note` is called.

    `maker` made the `queue`; `on_failure` is called if that is what failed.
    """

    def __init__(self, queue: RequestWaiterQueue, maker: PluginMaker, on_failure: OnPluginFailure) -> None:
        self._queue = queue
        self._maker = maker
        self._on_failure = on_failure
        self.reported = False
        self.cause: BaseException | None = None

    def is_the_queues(self, error: BaseException) -> bool:
        """Whether the waiter queue raised this, or did what the error says."""
        return issubclass(type(error), BrokenQueue) or (
            self._maker.name != "core" and passed_through(error, self._queue, "_ask")
        )

    def note(self, error: BaseException) -> bool:
        """Whether this is the first time; it is reported then."""
        self.cause = error
        first, self.reported = not self.reported, True
        if first and self.is_the_queues(error):
            self._on_failure(self._maker.name, WAITERS, error, getattr(self._queue, "select_next", None))
        elif first:
            _log.error("the request gate has failed by a fault of its own, no more calls go out", exc_info=error)
        return first

    def error(self) -> PenstockError:
        """The error for everybody who waits or asks from now on."""
        cause = self.cause
        assert cause is not None, "the gate has not failed"
        if self.is_the_queues(cause):
            said = what_it_raised(cause)
            return self._maker.error(f"its queue of waiting calls: {said}; no more calls go out")
        return PenstockError(f"the request gate has failed by a fault of its own: {type(cause).__name__}: {cause}")
