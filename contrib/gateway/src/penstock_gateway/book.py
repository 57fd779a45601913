"""The coordinator's book: which call of which worker waits or has a place, and what its worker is to be told. Pure.

All waiting stands in the one gate, in its order. A worker that is gone has nothing left here: its calls leave the line,
and its places are free in the same step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import attrs

from penstock import PenstockError, RequestCost, RequestGroupSpec, RequestResourceKey
from penstock_gateway.endings import error_of, facts_of, usage_of
from penstock_gateway.gate import Admission, Gate, NotAdmitted, Place, Waiting
from penstock_gateway.messages import Ask, Back, Ended, Failed, Placed, Refused

__all__ = ["Book", "Post"]

LONGEST_DETAIL: Final = 2_000
"""Characters."""

Post = Callable[[Placed | Refused | Failed], None]
"""Tells one worker something."""


@attrs.define(eq=False)
class WorkerPage:
    """The calls of one worker, by the numbers that it gave them."""

    post: Post
    waiting: dict[int, Waiting] = attrs.field(factory=dict)
    placed: dict[int, Place] = attrs.field(factory=dict)


class Book:
    """The calls of all workers. `now` is the coordinator's clock."""

    def __init__(self, gate: Gate, now: Callable[[], float]) -> None:
        self._gate = gate
        self._now = now
        self._workers: dict[int, WorkerPage] = {}

    def join(self, worker: int, post: Post) -> None:
        """A worker is there, under a number that no other has had."""
        self._workers[worker] = WorkerPage(post)

    def leave(self, worker: int) -> None:
        """A worker is gone: nothing is told to it any more, and nothing of it is left."""
        page = self._workers.pop(worker)
        page.post = _nobody
        while page.waiting:  # one that leaves may let the next one go
            page.waiting.popitem()[1].cancel()
        while page.placed:
            page.placed.popitem()[1].release(GeneratorExit())

    def counts(self, worker: int) -> tuple[int, int]:
        """How many calls of a worker wait, and how many have places."""
        page = self._workers[worker]
        return len(page.waiting), len(page.placed)

    def take(self, worker: int, message: Ask | Back | Ended) -> None:
        """What a worker said."""
        page = self._workers[worker]
        if isinstance(message, Ask):
            self._ask(page, message)
        elif isinstance(message, Ended):
            place = page.placed.pop(message.call)
            facts = facts_of(message)
            if facts is not None:
                place.answered(facts, usage_of(message))
            place.release(error_of(message))
        elif (waiting := page.waiting.pop(message.call, None)) is not None:
            waiting.cancel()
        elif (unused := page.placed.pop(message.call, None)) is not None:
            unused.give_back()  # its turn and its leaving have met on the way

    def _ask(self, page: WorkerPage, message: Ask) -> None:
        call, now = message.call, self._now()
        places = [_resource(*place) for place in message.places]

        def on_turn(outcome: Place | NotAdmitted | PenstockError) -> None:
            del page.waiting[call]
            settle(outcome)

        def settle(outcome: Place | NotAdmitted | PenstockError) -> None:
            if isinstance(outcome, NotAdmitted):
                detail = outcome.detail[:LONGEST_DETAIL]
                page.post(Refused(call, outcome.reason, detail, outcome.retry_after, outcome.limit_of[:LONGEST_DETAIL]))
            elif isinstance(outcome, PenstockError):
                page.post(Failed(call, str(outcome)[:LONGEST_DETAIL]))
            else:
                page.placed[call] = outcome
                page.post(Placed(call, places.index(outcome.resource)))

        deadline = None if message.deadline is None else now + message.deadline
        group = _group(message.key, message.weight, message.calls)
        admission = Admission(
            RequestCost(*message.cost), group, now + message.patience, deadline, message.priority, message.session
        )
        try:
            asked = self._gate.ask(places, admission, on_turn)
        except (NotAdmitted, PenstockError) as error:
            settle(error)
            return
        if isinstance(asked, Waiting):
            page.waiting[call] = asked
        else:
            settle(asked)


def _nobody(_: object) -> None:
    pass


@lru_cache(4096)
def _resource(provider: str, model: str, domain: str) -> RequestResourceKey:
    return RequestResourceKey(provider, model, domain)


@lru_cache(4096)
def _group(key: str, weight: float, calls: int | None) -> RequestGroupSpec:
    return RequestGroupSpec(key, weight, calls)
