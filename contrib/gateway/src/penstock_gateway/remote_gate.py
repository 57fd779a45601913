"""A worker's gate: it asks the coordinator for places, and says how calls ended. Pure: `post` takes what is to be said.

A call that is cancelled while its turn is on the way says that it wants no place, and the place comes back unused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from penstock import PenstockError, RequestResourceKey, ResponseFacts, Usage
from penstock_gateway.endings import ended
from penstock_gateway.gate import Admission, NotAdmitted, OnTurn, Place, Waiting
from penstock_gateway.messages import Ask, Back, Failed, FromWorker, Placed, Refused

__all__ = ["RemoteGate"]

_GONE: Final = "the coordinator of the gateway has ended"


class RemotePlace:
    """A place that the coordinator has given to a call."""

    __slots__ = ("_facts", "_gate", "_since", "_usage", "call", "resource")

    def __init__(self, call: int, resource: RequestResourceKey, since: float, gate: RemoteGate) -> None:
        self.call = call
        self.resource = resource
        self._since = since
        self._gate = gate
        self._facts: ResponseFacts | None = None
        self._usage: Usage | None = None

    def answered(self, facts: ResponseFacts, usage: Usage | None) -> None:
        self._facts, self._usage = facts, usage

    def release(self, error: BaseException | None = None) -> None:
        self._gate.release(self.call, self._facts, self._usage, error, self._since)

    def give_back(self) -> None:
        self._gate.give_back(self.call)


class RemoteGate:
    """The places of one worker. `now` is its clock."""

    def __init__(self, post: Callable[[FromWorker], None], now: Callable[[], float]) -> None:
        self._post = post
        self._now = now
        self._calls = 0
        self._waiting: dict[int, tuple[Sequence[RequestResourceKey], OnTurn]] = {}
        self._placed: set[int] = set()
        self._closed = False

    @property
    def counts(self) -> tuple[int, int]:
        """How many calls wait, and how many have places."""
        return len(self._waiting), len(self._placed)

    def ask(self, places: Sequence[RequestResourceKey], call: Admission, on_turn: OnTurn) -> Place | Waiting:
        """As `Gate.ask`: always a wait, since nobody knows here what is free."""
        if self._closed:
            raise NotAdmitted("shutdown", _GONE, 1.0)
        self._calls += 1
        number, now, cost, group = self._calls, self._now(), call.cost, call.group
        self._waiting[number] = places, on_turn
        self._post(
            Ask(
                number,
                [(place.provider_name, place.model_id, place.domain) for place in places],
                str(group.key),
                group.weight,
                group.admitted_limit,
                (cost.requests, cost.input_tokens, cost.output_tokens),
                max(0.0, call.gives_up_at - now),
                None if call.deadline is None else call.deadline - now,
                call.priority,
                call.session,
            )
        )
        return Waiting(partial(self._leave, number))

    def take(self, message: Placed | Refused | Failed) -> None:
        """What the coordinator has decided. Of a call that waits no more it is no news."""
        known = self._waiting.pop(message.call, None)
        if known is None:
            return
        places, on_turn = known
        if isinstance(message, Placed):
            self._placed.add(message.call)
            on_turn(RemotePlace(message.call, places[message.place], self._now(), self))
        elif isinstance(message, Refused):
            on_turn(NotAdmitted(message.reason, message.detail, message.retry_after, message.limit_of))
        else:
            on_turn(PenstockError(message.what))

    def close(self) -> None:
        """The coordinator has ended: nobody gets a place any more. Calls that have one go on."""
        self._closed = True
        waiting = [on_turn for _, on_turn in self._waiting.values()]
        self._waiting.clear()
        for on_turn in waiting:
            on_turn(NotAdmitted("shutdown", _GONE, 1.0))

    def release(
        self, call: int, facts: ResponseFacts | None, usage: Usage | None, error: BaseException | None, since: float
    ) -> None:
        """A call is over that has had its place `since` then; only the first counts."""
        if call in self._placed:
            self._placed.discard(call)
            self._post(ended(call, facts, usage, error, self._now() - since))

    def give_back(self, call: int) -> None:
        """The place of a call that was not made."""
        if call in self._placed:
            self._placed.discard(call)
            self._post(Back(call))

    def _leave(self, call: int) -> bool:
        if self._waiting.pop(call, None) is None:
            return False
        if not self._closed:
            self._post(Back(call))
        return True
