"""The gate of a scheduler in this process."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import trio

from penstock import (
    Attempt,
    Denied,
    ModelRequestExecutor,
    PenstockError,
    Released,
    RequestAdmissionError,
    RequestResourceKey,
    WaitingAttempt,
)
from penstock_endpoints import Endpoints
from penstock_gateway.gate import Admission, NotAdmitted, OnTurn, Place, Waiting
from penstock_gateway.local_place import LocalPlace
from penstock_gateway.spending.at_work import SpendingAtWork
from penstock_gateway.sticky import place_of_session

__all__ = ["LocalGate"]


class LocalGate:
    """The places that the request gate of a scheduler gives."""

    def __init__(self, requests: ModelRequestExecutor, spending: SpendingAtWork | None = None) -> None:
        self._requests = requests
        self._spending = spending
        self._endpoints = Endpoints({}, requests)
        self._now = trio.lowlevel.current_clock().current_time

    def ask(self, places: Sequence[RequestResourceKey], call: Admission, on_turn: OnTurn) -> Place | Waiting:
        """As `Gate.ask`; of several places the one with the fewest calls ahead is the first, and a session's the only
        one. Who has used his day is told so at once, and not when there is a place.
        """
        now = self._now()
        if self._spending is not None:
            used_up = self._spending.refusal(places, call.group.key, call.cost, call.gives_up_at, now)
            if used_up is not None:
                raise not_admitted_by(used_up, now)
        if len(places) > 1:
            places = [self._of_session(places, call.session)] if call.session else self._endpoints.in_order(places)

        try:
            asked = self._requests.ask(
                places,
                partial(_come, on_turn),
                cost=call.cost,
                group=call.group,
                timeout=max(0.0, call.gives_up_at - now),
                deadline=call.deadline,
                priority=call.priority,
            )
        except RequestAdmissionError as error:
            raise _not_admitted(error) from None
        return Waiting(asked.cancel) if isinstance(asked, WaitingAttempt) else _place(asked)

    def _of_session(self, places: Sequence[RequestResourceKey], session: str) -> RequestResourceKey:
        now = self._now()
        given_up = {each.model for each in self._requests.given_up()}

        return place_of_session(places, session, partial(self._takes_calls, given_up, now))

    def _takes_calls(self, given_up: set[str], now: float, place: RequestResourceKey) -> bool:
        if str(place.provider_model) in given_up:
            return False
        snapshot = self._requests.pressure.snapshot(place, now)
        return snapshot is None or snapshot.blocked_until is None or snapshot.blocked_until <= now


def _come(on_turn: OnTurn, outcome: Attempt | PenstockError) -> None:
    on_turn(_place(outcome) if isinstance(outcome, Attempt) else _not_admitted(outcome))


def _place(attempt: Attempt) -> LocalPlace:
    return LocalPlace(attempt, attempt.lease.item.resource)


def _not_admitted(error: PenstockError) -> NotAdmitted | PenstockError:
    if not isinstance(error, RequestAdmissionError):
        return error
    denied = error.denied
    return not_admitted_by(denied.denied, denied.refused_at)


def not_admitted_by(denied: Denied, now: float) -> NotAdmitted:
    """What a refusal at this moment is to a front."""
    limit_of = str(denied.diagnostics.get("limit_of", ""))
    moment = denied.next_moment()
    after = None if moment is None else max(0.0, moment - now)
    if "quota" in denied.diagnostics:
        limit_of = f"quota of {limit_of}"
        if any(isinstance(condition, Released) for condition in denied.until):
            after = None  # the end of the period would end it, and a call that comes back may do so long before
    return NotAdmitted(denied.reason, denied.detail, after, limit_of)
