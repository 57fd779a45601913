"""May this concrete call go out now? The controller of the request gate.

Pure and synchronous: it decides, counts, records events, and returns whom its decisions concern;
`executor.py` does the waiting. Whatever may free the way (a release, a limit that grew, a cap, a moment) ends
with offering the places to those who wait until nobody who is eligible is left, so between two calls nobody
waits who could go. There are three exceptions, all for the sake of a caller that cannot deliver to others:
`try_acquire`, `enqueue` and `cancel` change nothing for anybody else: `next_change` is now, and the next `advance`
does the offering.

    try_acquire / enqueue ── free, nobody ahead ──> lease
              │ else
              v
            queue ── chosen in order, asked ──> lease, counted, then taken out
              │
              └── timeout, deadline, hopeless refusal, shutdown ──> refused;   cancel ──> gone
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from penstock.events.records import EventStream
from penstock.requests.core_refusals import not_registered, shut, too_late
from penstock.requests.deciding import RequestDecider, RequestRule
from penstock.requests.effects import RequestAdmissionEffects, refusal
from penstock.requests.events import RequestEvents
from penstock.requests.failing import FailingPlugins
from penstock.requests.hints import Hints
from penstock.requests.items import RequestAdmissionDenied, RequestAdmissionItem, RequestAdmissionLease
from penstock.requests.lane_waiters import FifoRequestWaiters
from penstock.requests.leasing import RequestLeasing
from penstock.requests.live_pressure import LiveRequestPressure
from penstock.requests.observed import RequestMaxima, limit_at_first, request_maxima
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.pressure import RequestPressureSnapshotProvider, RequestStandingProvider
from penstock.requests.reconfiguring import ModelCaps, RemakeLimiters, RequestGatePlan, all_anew, plan_of, too_large_for
from penstock.requests.registry import Books, MakeLimiters, RequestRegistry, ResourceState, no_limiters
from penstock.requests.standing import RequestExplanation, explanation_of
from penstock.requests.waiters import RequestQueueView, RequestWaiter, RequestWaiterQueue
from penstock.requests.waiting import WaitingRequests
from penstock.words.identity import ProviderKey, ProviderModelKey, ProviderModelStaticCap, RequestResourceKey
from penstock.words.plugin_failures import OnPluginFailure, PluginMaker, unheard
from penstock.words.verdicts import Denied

__all__ = ["RequestAdmissionController", "RequestAdmissionEffects"]


class RequestAdmissionController:
    """Caps, limiters, leases and waiting requests, for every provider + model of a run.

    `make_limiters`   (scope, static cap) to (plugin name, limiter) pairs in the order of asking
    `waiters`         the order of the waiting requests; first in, first out if none is given
    `rule`            asked last; `None`: no plugin has a request rule
    `maker`           the plugin that made the waiters
    `on_failure`      is called with what plugins raise, or do against the contract
    `stall_timeout`   how long a call waits at most for a plugin that could not answer, in seconds
    """

    def __init__(
        self,
        events: EventStream,
        *,
        make_limiters: MakeLimiters = no_limiters,
        waiters: RequestWaiterQueue | None = None,
        rule: RequestRule | None = None,
        maker: PluginMaker | None = None,
        on_failure: OnPluginFailure = unheard,
        stall_timeout: float = 300.0,
        lease_prefix: str = "request-",
        generation: int = 1,
    ) -> None:
        self._events = events
        self._record = RequestEvents(events)
        if maker is None:
            maker = PluginMaker() if waiters is None else PluginMaker(type(waiters).__name__)
        self.maker = maker
        """Whose the waiter queue is."""
        self._registry = RequestRegistry(make_limiters, on_failure)
        self._pressure = LiveRequestPressure(self._registry)
        self.pressure: RequestPressureSnapshotProvider = self._pressure
        """How busy each resource is; read-only, for the other gate, for rules and for people."""
        self.standings: RequestStandingProvider = self._pressure
        """The same in few figures, for who asks with every decision."""
        self._decider = RequestDecider(rule, self._pressure, on_failure)
        self._leasing = RequestLeasing(self._registry, lease_prefix, generation)
        self.failing = FailingPlugins(stall_timeout)
        """How long calls wait for plugins that could not answer."""
        queue = FifoRequestWaiters() if waiters is None else waiters
        self._waiters = WaitingRequests(
            queue, self._registry, self._decider, self._leasing, events, self.failing, maker
        )
        self._closed = False
        self._freed: list[ProviderKey] = []
        """Freed by a first use or a cancelled wait, which return no effects: the next `advance` has them in its own."""

    # -- looking --

    @property
    def queue(self) -> RequestWaiterQueue:
        """The waiter queue."""
        return self._waiters.queue

    @property
    def queue_view(self) -> RequestQueueView:
        """The counts of who waits; live."""
        return self._waiters.queue.view()

    @property
    def in_flight_by_group(self) -> Mapping[object, int]:
        """The requests that are out, by the key of the group that they are for; of groups that have any."""
        return {key: state.in_flight for key, state in self._registry.groups.known.items() if state.in_flight}

    @property
    def leases(self) -> tuple[int, int]:
        """Leases issued and leases returned."""
        return self._leasing.ledger.issued, self._leasing.ledger.returned

    def knows(self, key: ProviderModelKey) -> bool:
        """Whether a provider + model is registered."""
        return key in self._registry.models

    @property
    def models(self) -> Collection[ProviderModelKey]:
        """Every provider + model that is registered; live."""
        return self._registry.models.keys()

    def maxima(self) -> RequestMaxima:
        """What was seen at most so far."""
        return request_maxima(self._registry)

    def next_change(self, now: float) -> float | None:
        """When `advance` is due next: a moment of the run's clock; `None` while nothing is."""
        if self._freed:
            return now
        return self._waiters.next_change(now) if self._waiters.waiting else None

    def explanation(self, now: float, pauses: Iterable[tuple[str, float]] = ()) -> RequestExplanation:
        """What waiting calls wait for: the refusals under which they are parked, and since when.

        `pauses` are those of the executor's retries: resource and the moment of the end.
        """
        return explanation_of(
            self._waiters.waiting, self._waiters.refusal_of, self._registry.limiters_of, self._pressure, pauses, now
        )

    def answered_at(self, resource: RequestResourceKey) -> float | None:
        """When the latest call at this resource went out that was answered."""
        state = self._registry.resources.get(resource)
        return None if state is None else state.answered_at

    def answered(self, lease: RequestAdmissionLease, sent_at: float) -> None:
        """Note that the call of a lease, which went out at `sent_at`, was answered."""
        lease.books[0].answered(sent_at)

    def fits_beside(self, item: RequestAdmissionItem, leases: Iterable[RequestAdmissionLease]) -> bool:
        """Whether the caps would have room for a call if only these leases were out; limiters and rules aside."""
        return self._registry.fits_beside(item, leases)

    # -- asking for leases --

    def try_acquire(self, item: RequestAdmissionItem, now: float) -> RequestAdmissionLease | RequestAdmissionDenied:
        """A lease now, or why not. Overtakes nobody whom the queue would let go first."""
        found = self._find(item, now)
        if isinstance(found, Denied):
            return self._denied(item, found, now)
        state, group = found
        if state.provider.waiting or (self._waiters.waiting and group.restrains(item)):
            waiter = self._waiters.new_waiter(item, now)
            waiter.gives_up_at = now
            self._waiters.ask(waiter, found, now)
            answer = waiter.lease or waiter.refused
            assert answer is not None, "who does not wait is still in the queue"
            return answer
        lease = self._waiters.lease_or_refusal(found, item, now)
        if isinstance(lease, Denied):
            return self._denied(item, lease, now)
        if self._events.active:
            self._record.wait_started(item, state, now)
            self._record.wait_completed(item, 0.0, now)
            self._record.acquired(lease, state, now)
        return lease

    def enqueue(self, item: RequestAdmissionItem, now: float) -> RequestWaiter:
        """A waiter, which has its `lease` at once, or is `refused` at once, or else waits in the queue."""
        waiter = self._waiters.new_waiter(item, now)
        found = self._find(item, now)
        if isinstance(found, Denied):
            waiter.refused = self._denied(item, found, now)
        else:
            self._waiters.ask(waiter, found, now)
        return waiter

    def cancel(self, waiter: RequestWaiter, now: float) -> bool:
        """Whether the waiter was in the queue; it is taken out. That may free the way: `advance` sees to it."""
        there = self._waiters.cancel(waiter, now)
        if there:
            self._freed.append(waiter.item.resource.provider)
        return there

    # -- what frees the way --

    def release(
        self, lease: RequestAdmissionLease, outcome: RequestReleaseOutcome, now: float
    ) -> RequestAdmissionEffects:
        """The effects of a lease that comes back, with how its call ended. It counts exactly once; `effects.release`
        says whether this was it.
        """
        result, changes = self._leasing.close(lease, outcome, now)
        if not result.released:
            if self._events.active:
                self._record.not_released(lease, result.reason, now)
            return RequestAdmissionEffects(release=result)
        state: ResourceState = lease.books[0]
        effects = RequestAdmissionEffects([], [], changes, result, [state.provider.key])
        state.last_outcome = kind = outcome.kind
        if kind == "rate_limited" and outcome.of is None:
            state.refused_at = now
        elif state.refused_at is not None and kind == "success" and lease.acquired_at > state.refused_at:
            state.refused_at = None
        if self._events.active:
            self._record.released(lease, outcome, state, now)
            for change in changes:
                self._record.limiter_changed(state.text, change, now)
        if self._waiters.waiting:
            self._waiters.offer_released((state,), effects, now, group=lease.item.group.key)
        return effects

    def observe(self, lease: RequestAdmissionLease, hints: Hints, now: float) -> RequestAdmissionEffects:
        """The effects of what the lease's limiters learn from an answer's hints while its body still streams."""
        effects = RequestAdmissionEffects()
        if lease not in self._leasing.ledger.live:
            return effects
        for limiter, token in lease.tokens:
            effects.changes.extend(limiter.observe_call(lease, token, hints, now))
        state = self._registry.resources[lease.item.resource]
        if effects.changes:
            effects.freed_providers.append(state.provider.key)
        if self._events.active:
            for change in effects.changes:
                self._record.limiter_changed(state.text, change, now)
        if self._waiters.waiting:
            self._waiters.offer_released((state,), effects, now, group=lease.item.group.key)
        return effects

    def register(
        self,
        provider_name: str,
        model_id: str,
        cap: int | Mapping[str, int],
        now: float,
        *,
        aliases: Iterable[str] = (),
        domain_caps: Mapping[str, int] | None = None,
        domains: Iterable[str] = (),
    ) -> RequestAdmissionEffects:
        """The effects of making a provider + model known, or of another cap: late, again, under load.

        `cap` is in calls in flight, or a mapping of alias to cap, of which the smallest holds; `domain_caps`
        bounds single domains further; `domains` are made known before their first call. What is given
        replaces what was. A raised cap wakes waiters; a lowered one holds at once, and being above it is
        legal. Raises `ConfigError` for a cap that is no whole number from 1 to 1,000,000.
        """
        static_cap = ProviderModelStaticCap.of(cap, (model_id, *aliases))
        key = ProviderModelKey(provider_name, model_id)
        change = self._registry.register(key, static_cap, domain_caps or {}, domains, now)
        effects = RequestAdmissionEffects(
            changes=[limiter_change for _, limiter_change in change.changes],
            freed_providers=[change.model.provider.key],
        )
        for state in change.new_resources:
            state.began = limit_at_first(state, now)
        if self._events.active:
            self._record.cap_changed(change, now)
            for state in change.new_resources:
                self._record.registered(state, now)
        self._waiters.refuse_too_large(change.model, effects, now)
        self._waiters.offer_released(change.model.resources.values(), effects, now)
        return effects

    def forget(self, key: ProviderModelKey) -> bool:
        """Whether a model, which must be registered, is idle: then it is unknown from now on."""
        forgotten = self._registry.forget(key)
        if forgotten:
            self._waiters.forget_model(key)
        return forgotten

    def plan(
        self,
        make_limiters: MakeLimiters,
        remake: RemakeLimiters | None = None,
        *,
        rule: RequestRule | None = None,
        caps: Iterable[ModelCaps] = (),
    ) -> RequestGatePlan:
        """What `carry_out` would change, with every limiter made: anew, or as `remake` says. Changes nothing.

        Raises `PluginError` for a limiter that cannot be made.
        """
        return plan_of(self._registry, make_limiters, remake or all_anew(make_limiters), rule, caps)

    def too_large_for(self, caps: Iterable[ModelCaps]) -> list[tuple[ModelCaps, str | None, int]]:
        """The caps under which a waiting call could never go: with the domain (`None`: all), and the most asked for."""
        return too_large_for(caps, self._registry.models, self._waiters.waiting)

    def carry_out(self, plan: RequestGatePlan, now: float) -> RequestAdmissionEffects:
        """The effects of a plan made since the last change. Everybody who waits is asked again."""
        self._registry.use_limiters(plan.make, plan.limiters)
        self._decider.rule = plan.rule
        self._waiters.ask_everybody_again(now)
        effects = RequestAdmissionEffects(freed_providers=[*self._registry.providers])
        for model in plan.caps:
            name, model_id = model.key.provider_name, model.key.model_id
            raw = model.static.raw_caps
            effects.add(self.register(name, model_id, raw, now, domain_caps=model.domain_caps))
        effects.add(self.signal("reconfigured", now))
        return effects

    def reconfigure(
        self, make_limiters: MakeLimiters, now: float, *, rule: RequestRule | None = None
    ) -> RequestAdmissionEffects:
        """The effects of new limiters. Leases keep those they were acquired under; everybody who waits is asked
        again.

        What the factory of a limiter raises leaves everything as it was.
        """
        return self.carry_out(self.plan(make_limiters, rule=rule), now)

    def signal(self, name: str, now: float) -> RequestAdmissionEffects:
        """The effects of the signal `name`: refusals that wait for it end."""
        effects = RequestAdmissionEffects()
        self._waiters.offer_signalled(name, effects, now)
        return effects

    def advance(self, now: float) -> RequestAdmissionEffects:
        """The effects of time: refusals that ended by themselves, waits that are over.

        Whoever may go at the moment at which its wait ends does go, also if this is called late.
        """
        effects = self._effects()
        self._waiters.offer(effects, now)
        self._waiters.expire(effects, now)
        if self._waiters.offer_due:  # those who went may have stood in the way
            self._waiters.offer(effects, now)
        return effects

    def close(self, now: float) -> RequestAdmissionEffects:
        """The effects of shutting the gate: who waits or asks is refused with `shutdown`. Leases come back as ever."""
        self._closed = True
        effects = self._effects()
        self._waiters.refuse_all(shut(), effects, now)
        return effects

    def abandon(self, now: float) -> RequestAdmissionEffects:
        """The effects of shutting the gate without the waiter queue, which broke its contract.

        Whoever waited waits no longer, with neither a lease nor a refusal: the caller says why. Every provider
        counts as freed. Leases come back as ever.
        """
        self._closed = True
        self._freed.clear()
        self._waiters.abandon(FifoRequestWaiters(), now)
        return RequestAdmissionEffects(freed_providers=[*self._registry.providers])

    def check_invariants(self) -> None:
        """What must always be true between two calls. Raises `AssertionError`."""
        self._leasing.check_invariants()
        self._waiters.check_invariants()
        states = self._registry.resources.values()
        assert len(self._waiters.waiting) == sum(state.waiting for state in states)

    # -- inside --

    def _find(self, item: RequestAdmissionItem, now: float) -> Books | Denied:
        """What an item asks for a place at, and for whom; or why it need not ask."""
        if self._closed:
            return shut()
        state = self._registry.resources.get(item.resource)
        if state is None:
            state = self._registry.first_use(item.resource)
            if state is None:
                return not_registered(item, self._registry.names())
            self._freed.append(state.provider.key)
            state.began = limit_at_first(state, now)
            if self._events.active:
                self._record.registered(state, now)
        if item.deadline is not None and item.deadline < now:
            return too_late(now - item.deadline)
        groups = self._registry.groups
        return state, groups.known.get(item.group.key) or groups.first_call(item, self._waiters.groups)

    def _effects(self) -> RequestAdmissionEffects:
        freed, self._freed = self._freed, []
        return RequestAdmissionEffects(freed_providers=freed)

    def _denied(self, item: RequestAdmissionItem, denied: Denied, now: float) -> RequestAdmissionDenied:
        answer = refusal(item, denied, now)
        if self._events.active:
            self._record.denied(answer, now)
        return answer
