"""May this concrete call go out now? The controller of the request gate.

Pure and synchronous: it decides, counts, records events, and returns whom its decisions concern;
`executor.py` does the waiting. Whatever may free the way (a release, a limit that grew, a cap, a moment) ends
with offering the places to those in line until nobody who is eligible is left, so between two calls nobody
waits who could go. There are three exceptions, all for the sake of a caller that cannot deliver to others:
`try_acquire`, `enqueue` and `cancel` change nothing for anybody else, and leave a note instead, by which
`next_change` is now and the next `advance` does the offering.

    try_acquire / enqueue ── free, nobody ahead ──> lease
              │ else
              v
            queue ── select_next (asks the decider) ──> lease, counted, then committed
              │
              └── timeout, deadline, hopeless refusal, shutdown ──> refused;   cancel ──> gone
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from penstock.events.records import EventStream
from penstock.requests.deciding import CORE, RequestDecider, RequestRule
from penstock.requests.effects import RequestAdmissionEffects, refusal
from penstock.requests.events import RequestTelling
from penstock.requests.items import RequestAdmissionDenied, RequestAdmissionItem, RequestAdmissionLease
from penstock.requests.lane_waiters import FifoRequestWaiters
from penstock.requests.leasing import RequestLeasing
from penstock.requests.limiter_guard import PluginProblems
from penstock.requests.live_pressure import LiveRequestPressure
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.pressure import RequestPressureSnapshotProvider, RequestStandingProvider
from penstock.requests.registry import MakeLimiters, RequestRegistry, ResourceState, no_limiters
from penstock.requests.shadow_limiter import shadow_refusals
from penstock.requests.waiters import RequestQueueView, RequestWaiter, RequestWaiterQueue
from penstock.requests.waiting import RequestLine
from penstock.words.identity import ProviderKey, ProviderModelKey, ProviderModelStaticCap
from penstock.words.verdicts import NEVER, Denied, Signal

__all__ = ["RequestAdmissionController", "RequestAdmissionEffects"]


class RequestAdmissionController:
    """Caps, limiters, leases and the line of those who wait, for every provider + model of a run.

    `make_limiters`   (scope, static cap) to (plugin name, limiter) pairs in the order of asking
    `waiters`         the order of the line; first in, first out if none is given
    `rule`            asked last; `None`: no plugin has a request rule
    `told`            is called with a plugin's name and a line for people, once per plugin that breaks the
                      contract
    """

    def __init__(
        self,
        events: EventStream,
        *,
        make_limiters: MakeLimiters = no_limiters,
        waiters: RequestWaiterQueue | None = None,
        rule: RequestRule | None = None,
        told: Callable[[str, str], None] | None = None,
        lease_prefix: str = "request-",
        generation: int = 1,
    ) -> None:
        self._events = events
        self._tell = RequestTelling(events)
        self._problems = PluginProblems(told)
        self._registry = RequestRegistry(make_limiters, self._problems)
        self._pressure = LiveRequestPressure(self._registry)
        self._decider = RequestDecider(rule, self._pressure, self._problems)
        self._leasing = RequestLeasing(self._registry, lease_prefix, generation)
        queue = FifoRequestWaiters() if waiters is None else waiters
        self._line = RequestLine(queue, self._registry.resources, self._decider, self._leasing, events)
        self._closed = False

    # -- looking --

    @property
    def pressure(self) -> RequestPressureSnapshotProvider:
        """The read-only door for the other gate, for rules and for people."""
        return self._pressure

    @property
    def standings(self) -> RequestStandingProvider:
        """The same door for who asks with every decision."""
        return self._pressure

    def note_eased(self) -> dict[ProviderKey, None]:
        """From now on note here the providers whose pressure may have eased; whoever reads it empties it."""
        return self._registry.note_eased()

    @property
    def problems(self) -> Mapping[str, str]:
        """Plugin to what it did wrong first, since the last configuration."""
        return self._problems.by_plugin

    @property
    def queue_view(self) -> RequestQueueView:
        """Who waits, counted; live."""
        return self._line.queue.view()

    @property
    def leases(self) -> tuple[int, int]:
        """Leases issued and leases returned."""
        return self._leasing.ledger.issued, self._leasing.ledger.returned

    def knows(self, key: ProviderModelKey) -> bool:
        """Whether a provider + model is registered."""
        return key in self._registry.models

    def next_change(self, now: float) -> float | None:
        """When `advance` is due next; `None` while nobody waits."""
        return self._line.next_change(now)

    def explain(self, now: float) -> str:
        """What each resource's first waiter waits for: everything that keeps it back, and what would end that."""
        lines = []
        firsts: dict[ResourceState, RequestWaiter] = {}
        for waiter, state in self._line.waiting.items():
            firsts.setdefault(state, waiter)
        for state, first in firsts.items():
            lines.append(
                f"{state.text}: {state.waiting} waiting, the first for {now - first.enqueued_at:.1f} s; "
                f"{state.in_flight} of {state.cap} in flight"
            )
            refusals = self._decider.all_refusals(state, first.item, now)
            lines += [f"  {refusal.told(now)}" for refusal in refusals] or ["  its turn is next"]
            lines += [f"  in shadow: {denied.told(now)}" for denied in shadow_refusals(state.limiters, first.item, now)]
        return "\n".join(lines) if lines else "no request is waiting"

    # -- asking for leases --

    def try_acquire(self, item: RequestAdmissionItem, now: float) -> RequestAdmissionLease | RequestAdmissionDenied:
        """A lease now, or why not. Overtakes nobody whom the queue would let go first."""
        state = self._find(item, now)
        if isinstance(state, Denied):
            return self._denied(item, state, now)
        if state.provider.waiting:
            waiter = self._line.new_waiter(item, now)
            waiter.gives_up_at = now
            self._line.ask(waiter, state, now)
            answer = waiter.lease or waiter.refused
            assert answer is not None, "who does not wait is still in line"
            return answer
        lease = self._line.lease_or_refusal(state, item, now)
        if isinstance(lease, Denied):
            return self._denied(item, lease, now)
        if self._events.active:
            self._tell.wait_started(item, state, now)
            self._tell.wait_completed(item, 0.0, now)
            self._tell.acquired(lease, state, now)
        return lease

    def enqueue(self, item: RequestAdmissionItem, now: float) -> RequestWaiter:
        """Ask, and wait if need be. The waiter may have its `lease` at once, or be `refused` at once; else
        it is in line.
        """
        waiter = self._line.new_waiter(item, now)
        state = self._find(item, now)
        if isinstance(state, Denied):
            waiter.refused = self._denied(item, state, now)
        else:
            self._line.ask(waiter, state, now)
        return waiter

    def cancel(self, waiter: RequestWaiter, now: float) -> bool:
        """Take a waiter out of line; whether it was there. Its going may free the way: `advance` sees to that."""
        return self._line.cancel(waiter, now)

    # -- what frees the way --

    def release(
        self, lease: RequestAdmissionLease, outcome: RequestReleaseOutcome, now: float
    ) -> RequestAdmissionEffects:
        """Take a lease back, with how its call ended. Counts exactly once; `effects.release` says whether
        this was it.
        """
        result, changes = self._leasing.close(lease, outcome, now)
        effects = RequestAdmissionEffects(release=result, changes=changes)
        if not result.released:
            if self._events.active:
                self._tell.not_released(lease, result.reason, now)
            return effects
        state = self._registry.resources[lease.item.resource]
        state.last_outcome = outcome.kind
        if outcome.kind == "rate_limited":
            state.refused_at = now
        elif state.refused_at is not None and outcome.kind == "success" and lease.acquired_at > state.refused_at:
            state.refused_at = None
        if self._events.active:
            self._tell.released(lease, outcome, state, now)
            for change in changes:
                self._tell.limiter_changed(state.text, change, now)
        if self._line.waiting:
            self._line.wake_released(state, lease.item.group.key, now)
            self._line.offer(effects, now)
        return effects

    def observe(self, lease: RequestAdmissionLease, headers: Mapping[str, str], now: float) -> RequestAdmissionEffects:
        """Let the lease's limiters learn from an answer's headers (lower-case names) while its body still streams."""
        effects = RequestAdmissionEffects()
        if self._leasing.ledger.live.get(lease.lease_id) is not lease:
            return effects
        for limiter, token in lease.tokens:
            effects.changes.extend(limiter.observe_call(lease, token, headers, now))
        state = self._registry.resources[lease.item.resource]
        if effects.changes and state.provider.eased is not None:
            state.provider.eased[state.provider.key] = None
        if self._events.active:
            for change in effects.changes:
                self._tell.limiter_changed(state.text, change, now)
        if self._line.waiting:
            self._line.wake_released(state, lease.item.group.key, now)
            self._line.offer(effects, now)
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
        """Make a provider + model known, or change its cap: late, again, under load.

        `cap` is in calls in flight, or a mapping of alias to cap, of which the smallest holds; `domain_caps`
        bounds single domains further; `domains` are made known before their first call. What is given
        replaces what was. A raised cap wakes waiters; a lowered one holds at once, and being above it is
        legal. Raises `ConfigError` for a cap that is no whole number from 1 on.
        """
        raw = cap if isinstance(cap, Mapping) else dict.fromkeys((model_id, *aliases), cap)
        key = ProviderModelKey(provider_name, model_id)
        change = self._registry.register(key, ProviderModelStaticCap.merge(raw), domain_caps or {}, domains, now)
        effects = RequestAdmissionEffects(changes=[limiter_change for _, limiter_change in change.changes])
        if self._events.active:
            self._tell.cap_changed(change, now)
            for state in change.new_resources:
                self._tell.registered(state, now)
        if self._line.waiting:
            for state in change.model.resources.values():
                self._line.wake_released(state, state.key, now)
            self._line.offer(effects, now)
        return effects

    def reconfigure(
        self, make_limiters: MakeLimiters, now: float, *, rule: RequestRule | None = None
    ) -> RequestAdmissionEffects:
        """Make all limiters anew. Leases keep those they were acquired under; everybody in line is asked
        again.

        What the factory of a limiter raises leaves everything as it was.
        """
        self._registry.reconfigure(make_limiters)
        self._decider.rule = rule
        self._problems.by_plugin.clear()
        self._line.ask_everybody_again(now)
        return self.signal("reconfigured", now)

    def signal(self, name: str, now: float) -> RequestAdmissionEffects:
        """Somebody says `name`: refusals that wait for it end."""
        effects = RequestAdmissionEffects()
        if self._line.waiting:
            self._line.queue.wake(Signal(name), len(self._line.waiting), now)
            self._line.offer(effects, now)
        return effects

    def advance(self, now: float) -> RequestAdmissionEffects:
        """Let time pass: refusals that ended by themselves, waits that are over.

        Whoever may go at the moment at which its wait ends does go, also if this is called late.
        """
        effects = RequestAdmissionEffects()
        self._line.offer(effects, now)
        self._line.expire(effects, now)
        if self._line.offer_owed:  # those who went may have stood in the way
            self._line.offer(effects, now)
        return effects

    def close(self, now: float) -> RequestAdmissionEffects:
        """Shut the gate: who waits is refused with `shutdown`, and so is who asks. Leases come back as ever."""
        self._closed = True
        effects = RequestAdmissionEffects()
        self._line.refuse_all(_shut(), effects, now)
        return effects

    def abandon(self, now: float) -> None:
        """Shut the gate without asking the waiter queue for anything more, since it broke its contract.

        Who waited is in line no longer, and the caller tells them. Leases come back as ever.
        """
        self._closed = True
        self._line.abandon(FifoRequestWaiters(), now)

    def check_invariants(self) -> None:
        """What must always be true between two calls. Raises `AssertionError`."""
        self._leasing.check_invariants()
        self._line.check_invariants()
        states = self._registry.resources.values()
        assert len(self._line.waiting) == sum(state.waiting for state in states)

    # -- inside --

    def _find(self, item: RequestAdmissionItem, now: float) -> ResourceState | Denied:
        """What an item asks for a place at, or why it need not ask."""
        if self._closed:
            return _shut()
        state = self._registry.resources.get(item.resource)
        if state is None:
            state = self._registry.first_use(item.resource)
            if state is None:
                return _not_registered(item)
            if self._events.active:
                self._tell.registered(state, now)
        if item.deadline is not None and item.deadline < now:
            late = now - item.deadline
            return Denied("deadline", {NEVER}, detail=f"the deadline passed {late:.3f} s ago", by=CORE)
        return state

    def _denied(self, item: RequestAdmissionItem, denied: Denied, now: float) -> RequestAdmissionDenied:
        answer = refusal(item, denied, now)
        if self._events.active:
            self._tell.denied(answer, now)
        return answer


def _shut() -> Denied:
    return Denied("shutdown", {NEVER}, detail="no more calls go out", by=CORE)


def _not_registered(item: RequestAdmissionItem) -> Denied:
    key = item.resource.provider_model
    table = f"[providers.{key.provider_name}.models.{_toml_key(key.model_id)}]"
    return Denied(
        "never_fits",
        {NEVER},
        detail=f"{key} is not configured: add {table} with max_parallel_requests = ...",
        by=CORE,
    )


def _toml_key(name: str) -> str:
    bare = all(character.isascii() and (character.isalnum() or character in "-_") for character in name)
    return name if bare else f'"{name}"'
