"""What tests of code behind a gate need: time that passes only when the test says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

import trio

from penstock_asyncio.run import CLOCK

__all__ = ["VirtualClock", "virtual_time"]


class VirtualClock(trio.abc.Clock):
    """A clock that stands still, and jumps when it is told to, from any thread. Of one gate."""

    def __init__(self) -> None:
        self._now = 0.0
        self._token: trio.lowlevel.TrioToken | None = None

    def start_clock(self) -> None:
        """Called by trio."""

    def current_time(self) -> float:
        """Its time, in seconds; 0 at the beginning."""
        if self._token is None and trio.lowlevel.in_trio_run():
            self._token = trio.lowlevel.current_trio_token()
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Called by trio: nothing that is due later comes by itself."""
        return 0.0 if deadline <= self._now else inf

    def jump(self, seconds: float) -> None:
        """Let so many seconds pass. What is due by then happens in the gate's thread, soon."""
        self._now += seconds
        assert self._token is not None, "its gate is open"
        self._token.run_sync_soon(lambda: None)


@contextmanager
def virtual_time() -> Iterator[VirtualClock]:
    """The clock of the gate that is opened inside the block."""
    clock = VirtualClock()
    token = CLOCK.set(clock)
    try:
        yield clock
    finally:
        CLOCK.reset(token)
