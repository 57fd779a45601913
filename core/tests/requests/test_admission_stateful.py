"""The controller against a naive model of itself: lists of who waits and what is out, and a scan over both
after every step.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstock import (
    OUTCOME_KINDS,
    EventStream,
    FifoRequestWaiters,
    OutcomeKind,
    ProviderKey,
    ProviderModelKey,
    RequestAdmissionController,
    RequestAdmissionEffects,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestCost,
    RequestGroupKey,
    RequestGroupSpec,
    RequestLimiter,
    RequestReleaseOutcome,
    RequestResourceKey,
    RequestWaiter,
    RuntimeEvent,
    Scope,
)
from penstock.testing import ScriptedLimiter

RESOURCES = (
    RequestResourceKey("p", "m", "chat"),
    RequestResourceKey("p", "m", "embedding"),
    RequestResourceKey("p", "n", "chat"),
    RequestResourceKey("q", "m", "chat"),
)
MODELS = tuple(dict.fromkeys(resource.provider_model for resource in RESOURCES))
SOON = st.sampled_from([None, None, None, None, None, 0.0, 0.5, 3.0])  # most have no timeout


class RequestGate(RuleBasedStateMachine):
    """Every step is carried out by the controller and noted here; what must then be true is found by looking
    at everything.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.caps: dict[ProviderModelKey, int] = {}
        self.chat_caps: dict[ProviderModelKey, int] = {}
        self.limiters: dict[Scope, ScriptedLimiter] = {}
        self.all_limiters: list[ScriptedLimiter] = []
        self.waiting: list[RequestWaiter] = []
        self.out: list[RequestAdmissionLease] = []
        self.lease_ids: set[str] = set()
        self.settled: set[int] = set()
        self.delivered: list[RuntimeEvent] = []
        self.events = EventStream("request")
        self.events.subscribe(self.delivered.append)

    @initialize(cohort=st.booleans(), known=st.sampled_from([2, len(RESOURCES)]))
    def begin(self, cohort: bool, known: int) -> None:
        """Two are the domains of one model: what one of them gives back the other may use."""
        self.cohort = cohort
        self.known = RESOURCES[:known]
        self.controller = RequestAdmissionController(
            self.events, make_limiters=self.make_limiters, waiters=FifoRequestWaiters()
        )
        for model in MODELS:
            self.set_caps(model, 3, 3)

    def make_limiters(self, scope: Scope, cap: int | None) -> Sequence[tuple[str, RequestLimiter]]:
        narrow = self.known == RESOURCES[:2] and scope in RESOURCES
        limiter = self.limiters[scope] = ScriptedLimiter(scope, 1 if narrow else 1_000_000, cohort=self.cohort)
        self.all_limiters.append(limiter)
        return [("scripted", limiter)]

    # -- steps

    @rule(
        which=st.integers(0, 3),
        group=st.integers(0, 2),
        timeout=SOON,
        deadline=SOON,
    )
    def ask(self, which: int, group: int, timeout: float | None, deadline: float | None) -> None:
        item = RequestAdmissionItem(
            self.known[which % len(self.known)],
            RequestGroupSpec(group),
            RequestCost(),
            timeout,
            None if deadline is None else self.now + deadline,
        )
        waiter = self.controller.enqueue(item, self.now)
        if waiter.lease is not None:
            self.note_lease(waiter.lease)
        elif waiter.refused is None:
            self.waiting.append(waiter)

    @rule(which=st.integers(0, 3), requests=st.integers(1, 3))
    def attempt(self, which: int, requests: int) -> None:
        item = RequestAdmissionItem(self.known[which % len(self.known)], RequestGroupSpec("t"), RequestCost(requests))
        answer = self.controller.try_acquire(item, self.now)
        if isinstance(answer, RequestAdmissionLease):
            self.note_lease(answer)

    @precondition(lambda self: self.out)
    @rule(which=st.integers(0), kind=st.sampled_from(OUTCOME_KINDS), grows=st.integers(0, 2))
    def give_back(self, which: int, kind: OutcomeKind, grows: int) -> None:
        lease = self.out.pop(which % len(self.out))
        if grows:  # as an adaptive limit does
            self.limiters[lease.item.resource].places += grows
            self.limiters[RequestGroupKey(lease.item.group.key)].places += grows
        effects = self.controller.release(lease, RequestReleaseOutcome(kind=kind), self.now)
        assert effects.release is not None
        assert effects.release.released
        self.note(effects)
        again = self.controller.release(lease, RequestReleaseOutcome(kind=kind), self.now)
        assert again.release is not None
        assert not again.release.released
        assert not again.granted

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0))
    def cancel(self, which: int) -> None:
        waiter = self.waiting.pop(which % len(self.waiting))
        assert self.controller.cancel(waiter, self.now)
        self.settled.add(waiter.sequence)

    @rule(seconds=st.sampled_from([0.0, 0.25, 1.0, 5.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.note(self.controller.advance(self.now))
        assert all(waiter.gives_up_at is None or waiter.gives_up_at > self.now for waiter in self.waiting)

    @rule(which=st.integers(0, 3), cap=st.integers(1, 4), chat=st.integers(1, 4))
    def register(self, which: int, cap: int, chat: int) -> None:
        self.set_caps(self.known[which % len(self.known)].provider_model, cap, chat)

    @rule(where=st.integers(0), places=st.integers(0, 3), cooldown=st.sampled_from([0.0, 0.5, 2.0]))
    def a_limiter_changes_its_mind(self, where: int, places: int, cooldown: float) -> None:
        scopes = [scope for scope in self.limiters if not isinstance(scope, RequestGroupKey)]
        scope = scopes[where % len(scopes)]
        limiter = self.limiters[scope]
        limiter.places = places
        limiter.blocked_until = max(limiter.blocked_until, self.now + cooldown)
        for model in MODELS:  # a registration is a moment at which everybody may ask again
            self.set_caps(model, self.caps[model], self.chat_caps[model])

    @rule(group=st.integers(0, 2), places=st.integers(0, 3), cooldown=st.sampled_from([0.0, 0.5, 2.0]))
    def a_group_is_limited(self, group: int, places: int, cooldown: float) -> None:
        limiter = self.limiters.get(RequestGroupKey(group))
        if limiter is not None:
            limiter.places = min(limiter.places, places)
            limiter.blocked_until = max(limiter.blocked_until, self.now + cooldown)

    @rule()
    def reconfigure(self) -> None:
        self.note(self.controller.reconfigure(self.make_limiters, self.now))

    # -- what must be true

    @invariant()
    def the_controller_agrees_with_itself(self) -> None:
        if self.caps:
            self.controller.check_invariants()

    @invariant()
    def the_counts_are_what_is_out(self) -> None:
        for resource in RESOURCES if self.caps else ():
            out = [lease for lease in self.out if lease.item.resource == resource]
            snapshot = self.controller.pressure.snapshot(resource, self.now)
            if snapshot is not None:
                assert snapshot.in_flight_count == sum(lease.item.cost.requests for lease in out)
                assert snapshot.active_lease_count == len(out)
                assert snapshot.waiters == sum(waiter.item.resource == resource for waiter in self.waiting)
            else:
                assert not out

    @invariant()
    def nobody_waits_who_could_go(self) -> None:
        if not self.caps or self.controller.next_change(self.now) == self.now:
            return  # an offer is announced for this very moment
        for waiter in self.waiting:
            assert self.kept_back(waiter), f"waiter {waiter.sequence} for {waiter.item.resource} could go"

    @invariant()
    def limiters_count_what_is_out_under_them(self) -> None:
        held = sum(lease.item.cost.requests for lease in self.out)
        assert sum(limiter.in_flight for limiter in self.all_limiters if limiter.scope in RESOURCES) == held
        groups = [limiter for limiter in self.all_limiters if isinstance(limiter.scope, RequestGroupKey)]
        assert sum(limiter.in_flight for limiter in groups) == held

    def kept_back(self, waiter: RequestWaiter) -> bool:
        resource = waiter.item.resource
        model = resource.provider_model
        in_flight = sum(lease.item.cost.requests for lease in self.out if lease.item.resource.provider_model == model)
        if in_flight + 1 > self.caps[model]:
            return True
        here = sum(lease.item.cost.requests for lease in self.out if lease.item.resource == resource)
        if resource.domain == "chat" and here + 1 > self.chat_caps[model]:
            return True
        group = RequestGroupKey(waiter.item.group.key)
        scopes: tuple[Scope, ...] = (ProviderKey(resource.provider_name), model, resource, group)
        return any(
            self.now < self.limiters[scope].blocked_until
            or self.limiters[scope].in_flight + 1 > self.limiters[scope].places
            for scope in scopes
        )

    def set_caps(self, model: ProviderModelKey, cap: int, chat: int) -> None:
        self.caps[model], self.chat_caps[model] = cap, chat
        domains = {"chat": chat}
        provider = model.provider_name
        self.note(self.controller.register(provider, model.model_id, cap, self.now, domain_caps=domains))

    def note(self, effects: RequestAdmissionEffects) -> None:
        for waiter in effects.granted:
            self.waiting.remove(waiter)
            assert waiter.lease is not None
            assert waiter.sequence not in self.settled
            self.settled.add(waiter.sequence)
            self.note_lease(waiter.lease)
        for waiter in effects.refused:
            self.waiting.remove(waiter)
            assert waiter.refused is not None
            assert waiter.sequence not in self.settled
            self.settled.add(waiter.sequence)

    def note_lease(self, lease: RequestAdmissionLease) -> None:
        assert lease.lease_id not in self.lease_ids, "one lease for two calls"
        self.lease_ids.add(lease.lease_id)
        self.out.append(lease)

    def teardown(self) -> None:
        if not self.caps:
            return
        self.now += 1000.0
        self.note(self.controller.advance(self.now))
        for limiter in self.limiters.values():
            limiter.places, limiter.blocked_until = 10, self.now
        for model in MODELS:
            self.set_caps(model, 10, 10)
        self.reconfigure()
        while self.out:
            self.note(self.controller.release(self.out.pop(), RequestReleaseOutcome(kind="success"), self.now))
        assert not self.waiting, "somebody was forgotten in the queue"
        issued, returned = self.controller.leases
        assert issued == returned == len(self.lease_ids)
        self.events.deliver()
        kinds = [event.event_kind for event in self.delivered]
        assert kinds.count("request_lease_acquired") == kinds.count("request_lease_released") == issued
        started = kinds.count("request_wait_started")
        ended = ("request_wait_completed", "request_wait_timeout", "request_wait_cancelled")
        assert started == sum(map(kinds.count, ended)), "every wait ends exactly once"
        assert kinds.count("request_queue_formed") == kinds.count("request_queue_drained")


TestRequestGate = RequestGate.TestCase
TestRequestGate.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
