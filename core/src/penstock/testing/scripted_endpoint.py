"""A simulated endpoint that answers in virtual time, by carrying calls to a `SimulatedModel` and waiting as that says.

endpoint = ScriptedEndpoint(ProviderLimits(slots=8), random.Random(1)) answer = await endpoint.call("me", tokens=0)
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from math import inf

import trio

from penstock.requests.response import ResponseFacts
from penstock.testing.provider.limits import ProviderLimits
from penstock.testing.provider.provider import Hanging, Queued, Refused, SimulatedModel, Started, Ticket

__all__ = ["EndpointError", "ScriptedEndpoint"]


class EndpointError(Exception):
    """An answer with an error status, raised by the code that made the call."""


class ScriptedEndpoint:
    """One endpoint, whose life begins now. Use it inside a trio run; the time is `trio.current_time()`."""

    def __init__(self, limits: ProviderLimits, rng: random.Random) -> None:
        self.model = SimulatedModel(limits, rng, trio.current_time())
        self._queued: dict[Ticket, trio.Event] = {}
        self._begun: dict[Ticket, Started] = {}

    async def call(self, key: str, tokens: int) -> ResponseFacts:
        """The answer to a call as `key`, which is charged `tokens`. A hanging call waits for ever.

        Cancelling this, as by a timeout, gives the call up, and its slot is free.
        """
        sent_at = trio.current_time()
        answer = self.model.arrive(sent_at, key, tokens)
        if isinstance(answer, Refused):
            await trio.sleep(answer.after)
            elapsed = trio.current_time() - sent_at
            return ResponseFacts(
                status=answer.status, headers=answer.headers, error_type=answer.code or None, elapsed=elapsed
            )
        try:
            started = await self._wait_for_start(answer.ticket) if isinstance(answer, Queued) else answer
            if isinstance(started, Hanging):
                await trio.sleep_forever()
            await trio.sleep(started.finish_after)
        except BaseException:
            self._queued.pop(answer.ticket, None)
            self._begun.pop(answer.ticket, None)
            self._begin(self.model.abandon(answer.ticket, trio.current_time()))
            raise
        now = trio.current_time()
        self._begin(self.model.finish(answer.ticket, now))
        return ResponseFacts(status=200, headers=started.headers, elapsed=now - sent_at)

    async def _wait_for_start(self, ticket: Ticket) -> Started:
        """Wait until a queued call starts: when others end, or when the schedule makes room; returns what it has
        become."""
        started = self._queued[ticket] = trio.Event()
        while not started.is_set():
            changes_at = self.model.next_change(trio.current_time())
            with trio.move_on_at(inf if changes_at is None else changes_at):
                await started.wait()
            self._begin(self.model.advance(trio.current_time()))
        return self._begun.pop(ticket)

    def _begin(self, calls: Iterable[Started]) -> None:
        for started in calls:
            self._begun[started.ticket] = started
            self._queued.pop(started.ticket).set()
