"""One simulated model under trio: it waits where the pure `SimulatedModel` says how long.

A call holds its ticket inside `async with endpoint.call(…)`. Leaving that block without `finish`, most of
all because the client has gone and the call was cancelled, abandons the ticket: so no path keeps a slot.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import trio

from penstock.testing import Granted, Hanging, Queued, Refused, SimulatedModel, Started, Ticket

__all__ = ["Endpoint", "Running"]


class Running:
    """A call that runs; its answer is due at `due`, a moment of trio's clock."""

    def __init__(self, endpoint: Endpoint, granted: Granted) -> None:
        self._endpoint = endpoint
        self.ticket = granted.ticket
        self.headers = granted.headers
        self.started_at = trio.current_time()
        self.due = self.started_at + granted.finish_after
        self.finished = False

    def finish(self) -> None:
        """The end of the call, which gives the slot back. To be called just before the last byte goes out: a client
        that answers that byte with its next call must find the slot free."""
        self.finished = True
        self._endpoint.start(self._endpoint.model.finish(self.ticket, trio.current_time()))


class _Waiter:
    """A queued call, until it starts."""

    def __init__(self) -> None:
        self._wakeup = trio.Event()
        self._started: Started | None = None

    def wake(self, started: Started) -> None:
        self._started = started
        self._wakeup.set()

    async def wait(self) -> Started:
        await self._wakeup.wait()
        assert self._started is not None
        return self._started


class Endpoint:
    """A `SimulatedModel` whose calls wait under trio. `changed` is a callback for everything that its report
    shows."""

    def __init__(self, model: SimulatedModel, changed: Callable[[], None] = lambda: None) -> None:
        self.model = model
        self._changed = changed
        self._waiters: dict[Ticket, _Waiter] = {}

    @asynccontextmanager
    async def call(self, key: str, tokens: int) -> AsyncIterator[Running | Refused]:
        """The call, once it runs, or its refusal, once that is due. A hanging call waits here until cancelled."""
        answer = self.model.arrive(trio.current_time(), key, tokens)
        self._changed()
        if isinstance(answer, Refused):
            await trio.sleep(answer.after)
            yield answer
            return
        running: Running | None = None
        try:
            if isinstance(answer, Queued):
                waiter = self._waiters[answer.ticket] = _Waiter()
                answer = await waiter.wait()
            if isinstance(answer, Hanging):
                await trio.sleep_forever()
            else:
                running = Running(self, answer)
                yield running
        finally:
            self._waiters.pop(answer.ticket, None)
            if running is None or not running.finished:
                self.start(self.model.abandon(answer.ticket, trio.current_time()))

    def start(self, started: Iterable[Started]) -> None:
        """The start of queued calls whose slots have become free."""
        for answer in started:
            self._waiters[answer.ticket].wake(answer)
        self._changed()

    async def follow_schedule(self) -> None:
        """The start of queued calls whenever the schedule makes room, until it changes no more."""
        while (at := self.model.next_change(trio.current_time())) is not None:
            await trio.sleep_until(at)
            self.start(self.model.advance(trio.current_time()))
