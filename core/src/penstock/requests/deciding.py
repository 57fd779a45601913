"""May this call go out now? The caps first, then what its group may have in flight, then the limiters from the widest
scope to the narrowest, then the rules.

Pure asking: nothing is changed by it, but that the resource keeps whether the last consent was to a probe. The first
refusal holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from penstock.requests.items import RequestAdmissionItem
from penstock.requests.pressure import RequestPressureSnapshotProvider
from penstock.requests.registry import Books, ModelState, ResourceState
from penstock.words.plugin_failures import OnPluginFailure, fails_closed
from penstock.words.verdicts import NEVER, PROBE, REQUEST_REASONS, At, Denied, Released, check_denied

__all__ = ["CORE", "RequestDecider", "RequestRule", "comes_too_late", "in_vain", "no_place", "too_large"]

RequestRule = Callable[[RequestAdmissionItem, RequestPressureSnapshotProvider, float], "Denied | None"]

CORE: Final = "core"
RULE: Final = "penstock_request_eligible"


class RequestDecider:
    """The answer of all who have a say."""

    def __init__(
        self,
        rule: RequestRule | None,
        pressure: RequestPressureSnapshotProvider,
        on_failure: OnPluginFailure,
    ) -> None:
        self.rule = rule
        self._pressure = pressure
        self._on_failure = on_failure

    def check(self, books: Books, item: RequestAdmissionItem, now: float, beside_room: bool = False) -> Denied | None:
        """The first refusal, or `None`: the call may go out.

        With `beside_room` others look at the room: then neither caps nor limiters refuse for want of it.
        """
        state, group = books
        requests = item.cost.requests
        model, probe = state.model, False
        if not beside_room and (state.in_flight + requests > state.cap or model.in_flight + requests > model.cap):
            return no_place(state, requests)
        admitted = item.group.admitted_limit
        if admitted is not None and (full := group.refusal(admitted, requests)) is not None:
            return full
        limiters = (*group.limiters, *state.limiters) if group.limiters else state.limiters
        for limiter in limiters:  # as `limiter.check` asks, without a call of it for each
            if limiter.broken is not None:
                return limiter.broken
            try:
                denied = limiter.limiter.check(item, now)
            except BaseException as error:
                return limiter.check_failed(error, now)
            if denied is None:
                continue
            if denied is PROBE:
                probe = True
            else:
                denied = limiter.refusal(denied, now)
                if not beside_room or not limiter.wants_room(denied, item, now):
                    return denied
        state.probe = probe
        return None if self.rule is None else self._ask_rule(item, now)

    def _ask_rule(self, item: RequestAdmissionItem, now: float) -> Denied | None:
        assert self.rule is not None
        try:
            answer = self.rule(item, self._pressure, now)
            if answer is None:
                return None
            return check_denied(answer, by=RULE, now=now, reasons=REQUEST_REASONS)
        except BaseException as error:  # a rule that was compiled from hooks names its plugins itself, and never raises
            self._on_failure(RULE, RULE, error, self.rule)
            return fails_closed(RULE, "hard_policy_denial", error, now, self.rule)


def comes_too_late(denied: Denied, gives_up_at: float | None) -> bool:
    """Whether a wait cannot succeed: nothing ends the refusal, or only a moment after which nobody waits any more."""
    if NEVER in denied.until:
        return True
    if gives_up_at is None:
        return False
    for condition in denied.until:  # noqa: SIM110 - a generator would be two calls for each who begins to wait
        if not isinstance(condition, At) or condition.moment <= gives_up_at:
            return False
    return True


def in_vain(denied: Denied, gives_up_at: float | None, now: float) -> bool:
    """Whether a call need not begin to wait: that could not succeed, or it does not wait at all."""
    return (gives_up_at is not None and gives_up_at <= now) or comes_too_late(denied, gives_up_at)


def no_place(state: ResourceState, requests: int) -> Denied:
    """The refusal for want of room. Who asks for as much of the same is refused by the same."""
    model = state.model
    if requests > state.cap or requests > model.cap:
        return too_large(state, requests)
    narrow = model.in_flight + requests <= model.cap
    limited: ModelState | ResourceState = state if narrow else model
    denied = limited.full.get(requests)
    if denied is None:
        # The same answer to everybody until the cap changes, so it is made once: under load it is given once per call.
        denied = limited.full[requests] = Denied(
            "no_capacity",
            {Released(limited.key)},
            scope="shape",
            detail=f"the {limited.cap} places of {limited.key} are taken",
            cohort=(limited.key, requests),
            by=CORE,
        )
    return denied


def too_large(state: ResourceState, requests: int) -> Denied:
    """The refusal of a call that asks for more than there ever is."""
    cap, where = min((state.cap, state.text), (state.model.cap, str(state.model.key)))
    return Denied("never_fits", {NEVER}, detail=f"asks for {requests} places, and {where} has {cap}", by=CORE)
