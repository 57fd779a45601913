"""What follows from how calls ended for those that come: who is held, who is refused, who waits.

Every attempt comes by here before it asks for a lease, when it has it, and when it has ended, whoever makes it:
`execute`, a bare block, or a transport. So a shortage of our own holds all new calls, and an account that is refused
ends all calls of its model.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import inf
from typing import Final
from weakref import ref

import trio
from msgspec.structs import replace

from penstock.events.correlation import current_correlation
from penstock.executor.accounts import RefusedAccounts
from penstock.executor.gate import RequestGate
from penstock.executor.hold import Hold
from penstock.executor.pauses import Pauses
from penstock.executor.repeated_calls import RepeatedCalls
from penstock.requests.deciding import CORE
from penstock.requests.items import (
    RequestAdmissionDenied,
    RequestAdmissionError,
    RequestAdmissionItem,
    RequestAdmissionLease,
)
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.words.failures import FailureMark, mark_failure
from penstock.words.identity import RequestResourceKey
from penstock.words.verdicts import NEVER, At, Denied, RequestReason

__all__ = ["GIVEN_UP", "Consequences"]

LONGEST_BEHIND: Final = 10.0
"""Seconds after a cooldown, for which a call that is refused alone lets others go first."""
GIVEN_UP: Final = RequestReleaseOutcome(kind="local_cancelled", went_out=False, detail="given up")


class Consequences:
    """What is known of the calls of one executor that have ended. `asked_max`: no pause that a provider asks for is
    longer, in seconds.
    """

    def __init__(self, gate: RequestGate, asked_max: float) -> None:
        self._gate = gate
        self.asked_max = asked_max
        self.accounts = RefusedAccounts()
        self.hold = Hold()
        self.pauses = Pauses()
        self._repeated = RepeatedCalls()
        self._behind: dict[trio.CancelScope, tuple[RequestResourceKey, float]] = {}
        """Of calls that stepped back: until another passes there that went out after that moment."""

    # -- before a call --

    def quiet(self, call: Hashable) -> bool:
        """Whether nothing stands against a call here, whichever moment it is: it need not ask `before_asking` and
        `before_going_out`.
        """
        return call is None and not self.hold.until and not self.accounts.models

    def same_call(self, repeats: Hashable, resource: RequestResourceKey) -> Hashable:
        """The key of a call of which `repeats` is equal for all attempts in one task."""
        correlation = current_correlation()
        task_id = None if correlation is None else correlation.task_id
        return ref(trio.lowlevel.current_task()) if task_id is None else task_id, resource, repeats

    def not_given_up(self, items: Sequence[RequestAdmissionItem]) -> Sequence[RequestAdmissionItem]:
        """Those of a call's items whose account has not been refused; all of them, where each has."""
        now = self._gate.now()
        return [each for each in items if self.accounts.refusal(each.resource.provider_model, now) is None] or items

    async def before_asking(self, item: RequestAdmissionItem, call: Hashable) -> tuple[RequestAdmissionItem, bool]:
        """The item, once its call may ask for a lease, with what is left of its timeout then; and whether it was let go
        while others are held. Raises `RequestAdmissionError`.
        """
        now = self._gate.now()
        self._raise_if_given_up(item, call, now)
        repeated = None if call is None else self._repeated.known(call, now)
        not_before = 0.0 if repeated is None else repeated.not_before
        if max(self.hold.until, not_before) <= now:
            return item, False
        timeout = inf if item.queue_wait_timeout is None else item.queue_wait_timeout
        let_go = await self._wait(item, not_before, now + timeout)
        if item.queue_wait_timeout is not None:
            item = replace(item, queue_wait_timeout=max(0.0, now + timeout - self._gate.now()))
        return item, let_go

    def raise_if_held(self, item: RequestAdmissionItem) -> None:
        """Raises `RequestAdmissionError` where a call may not ask or go out now: for one that cannot wait here."""
        now = self._gate.now()
        self._raise_if_given_up(item, None, now)
        if self.hold.until > now:
            denied = Denied(
                "no_capacity", {At(self.hold.until)}, detail=f"new calls are held: {self.hold.why}", by=CORE
            )
            raise RequestAdmissionError(RequestAdmissionDenied(item, denied, now))

    async def before_going_out(self, lease: RequestAdmissionLease, call: Hashable, *, let_go: bool) -> None:
        """Wait where new calls are held by now. Raises `RequestAdmissionError` where the call is given up by now; its
        lease is to be given back then.
        """
        if self.hold.until > self._gate.now() and not let_go:
            await self._wait(lease.item, 0.0, inf)
        self._raise_if_given_up(lease.item, call, self._gate.now())

    def stands_alone(self, call: Hashable) -> bool:
        """Whether the refusals of this call say nothing of the limits."""
        repeated = None if call is None else self._repeated.known(call, self._gate.now())
        return repeated is not None and repeated.refusals.stands_alone

    async def _wait(self, item: RequestAdmissionItem, not_before: float, gives_up_at: float) -> bool:
        deadline = inf if item.deadline is None else item.deadline
        last = min(gives_up_at, deadline)
        while not self.pauses.closed:
            now, held = self._gate.now(), self.hold.until
            if max(held, not_before) <= now:
                return False
            if now >= last:
                why = f"new calls are held: {self.hold.why}" if held > now else "the provider asks to wait longer"
                reason: RequestReason = "deadline" if deadline <= gives_up_at else "queue_timeout"
                denied = Denied(reason, {NEVER}, detail=why, by=CORE)
                raise RequestAdmissionError(RequestAdmissionDenied(item, denied, now))
            if held > now:
                if await self.pauses.pause(self.hold.why, min(held, last), held=True):
                    return True
            else:
                await self.pauses.pause(str(item.resource), min(not_before, last))
        return False

    def _raise_if_given_up(self, item: RequestAdmissionItem, call: Hashable, now: float) -> None:
        denied = self.accounts.refusal(item.resource.provider_model, now)
        repeated = None if call is None else self._repeated.known(call, now)
        if denied is None and repeated is not None and repeated.given_up:
            detail = f"not tried again: {repeated.given_up}"
            denied = Denied("hard_policy_denial", {NEVER}, detail=detail, by=CORE)
        if denied is not None:
            error = RequestAdmissionError(RequestAdmissionDenied(item, denied, now))
            mark_failure(error, FailureMark("local_cancelled", retryable=False))
            raise error

    # -- after a call --

    def ended(
        self,
        lease: RequestAdmissionLease,
        outcome: RequestReleaseOutcome,
        started_at: float,
        call: Hashable,
        now: float,
    ) -> None:
        """An attempt has ended in this way at `now`; its lease is back."""
        resource = lease.item.resource
        if not outcome.went_out:
            if outcome.short_of:
                self.hold.begin(outcome.short_of, started_at, now)
            return
        if (outcome.of == "account" or self.accounts.models) and self._gate.may_know(resource.provider_model):
            self.accounts.ended(resource.provider_model, outcome, started_at, now)
        controller = self._gate.controller
        if outcome.kind == "success":
            controller.answered(lease, started_at)
            for scope, (of, since) in self._behind.items():
                if of == resource and since <= started_at:
                    scope.cancel()
        if call is not None:
            passed_at, asked = controller.answered_at(resource), self._asked(resource, outcome, now)
            self._repeated.ended(call, outcome, now, passed_at=passed_at, asked=asked)
        if self.hold.until:
            if outcome.kind == "success":
                self.hold.answered()
            if not self.pauses.let_one_go():
                self.hold.end()

    async def step_back(self, item: RequestAdmissionItem, least: float) -> None:
        """Wait until another call has passed that went out from now on, at `least` so many seconds, and at most until
        `LONGEST_BEHIND` after the cooldown.
        """
        now, resource = self._gate.now(), item.resource
        snapshot = self._gate.controller.pressure.snapshot(resource, now)
        remaining = 0.0 if snapshot is None else snapshot.cooldown_remaining
        ends = now + max(least, remaining) + LONGEST_BEHIND
        what = f"{resource}, behind others"
        if least > 0:
            await self.pauses.pause(what, now + least)
        passed_at = self._gate.controller.answered_at(resource)
        if passed_at is None or passed_at < now:
            with trio.CancelScope() as scope:
                self._behind[scope] = resource, now
                try:
                    await self.pauses.pause(what, ends if item.deadline is None else min(ends, item.deadline))
                finally:
                    del self._behind[scope]

    def others_wait(self, resource: RequestResourceKey) -> bool:
        """Whether calls wait for a lease there."""
        snapshot = self._gate.controller.pressure.snapshot(resource, self._gate.now())
        return snapshot is not None and snapshot.waiters > 0

    def held_back(self, resource: RequestResourceKey, now: float) -> bool:
        """Whether admission knows of a cooldown, so that it will hold the next attempt back by itself."""
        snapshot = self._gate.controller.pressure.snapshot(resource, now)
        return snapshot is not None and snapshot.blocked_until is not None and snapshot.blocked_until > now

    def _asked(self, resource: RequestResourceKey, outcome: RequestReleaseOutcome, now: float) -> float:
        asked = outcome.retry_after_seconds
        if asked is None or (outcome.kind == "rate_limited" and self.held_back(resource, now)):
            return 0.0
        return min(asked, self.asked_max)
