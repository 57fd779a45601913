"""The gate of a scheduler in this process."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import trio

from penstock import (
    Attempt,
    ModelRequestExecutor,
    PenstockError,
    RequestAdmissionError,
    RequestResourceKey,
    ResponseFacts,
    Usage,
    WaitingAttempt,
)
from penstock_endpoints import Endpoints
from penstock_gateway.gate import Admission, NotAdmitted, OnTurn, Place, Waiting

__all__ = ["LocalGate"]


@attrs.define(eq=False)
class LocalPlace:
    """A place that an attempt holds."""

    attempt: Attempt

    @property
    def resource(self) -> RequestResourceKey:
        return self.attempt.lease.item.resource

    def answered(self, facts: ResponseFacts, usage: Usage | None) -> None:
        self.attempt.answered(facts, usage)

    def release(self, error: BaseException | None = None) -> None:
        self.attempt.detach().release(None, error)


class LocalGate:
    """The places that the request gate of a scheduler gives."""

    def __init__(self, requests: ModelRequestExecutor) -> None:
        self._requests = requests
        self._endpoints = Endpoints({}, requests)

    def ask(self, places: Sequence[RequestResourceKey], call: Admission, on_turn: OnTurn) -> Place | Waiting:
        """As `Gate.ask`; of several places the one with the fewest calls ahead is the first."""
        if len(places) > 1:
            places = self._endpoints.in_order(places)

        def come(outcome: Attempt | PenstockError) -> None:
            on_turn(LocalPlace(outcome) if isinstance(outcome, Attempt) else _not_admitted(outcome))

        try:
            asked = self._requests.ask(
                places,
                come,
                cost=call.cost,
                group=call.group,
                timeout=max(0.0, call.gives_up_at - trio.current_time()),
                deadline=call.deadline,
            )
        except RequestAdmissionError as error:
            raise _not_admitted(error) from None
        return Waiting(asked.cancel) if isinstance(asked, WaitingAttempt) else LocalPlace(asked)


def _not_admitted(error: PenstockError) -> NotAdmitted | PenstockError:
    if not isinstance(error, RequestAdmissionError):
        return error
    denied = error.denied
    limit_of = str(denied.denied.diagnostics.get("limit_of", ""))
    return NotAdmitted(error.reason, denied.detail, denied.retry_after_seconds, limit_of)
