"""The waiting requests: who waits, until when, and how places are offered to them.

    enqueue ─> waits ── offer: chosen in order, asked, not refused ──> has its lease
                 │
                 └── its time is over, or it waits in vain, or the gate shuts ──> is refused

Whatever changes ends in `offer`. Between two calls of the controller nobody waits who could go, unless `offer_due` says
that an offer is still to come: who asks, and who cancels, changes nothing for others by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any

import attrs

from penstock.events.correlation import current_correlation
from penstock.events.records import EventStream
from penstock.queueing.lanes import ALL
from penstock.requests.deciding import CORE, RequestDecider, comes_too_late, in_vain, too_large
from penstock.requests.effects import RequestAdmissionEffects, refusal
from penstock.requests.events import RequestEvents
from penstock.requests.failing import FailingPlugins
from penstock.requests.guarded_waiters import GuardedWaiters
from penstock.requests.items import RequestAdmissionItem, RequestAdmissionLease
from penstock.requests.lane_waiters import LaneRequestWaiters
from penstock.requests.leasing import RequestLeasing
from penstock.requests.registry import Books, ModelState, RequestRegistry, ResourceState
from penstock.requests.room import RequestRoom
from penstock.requests.timeouts import WaitEnds, end_of_wait
from penstock.requests.waiters import RequestWaiter, RequestWaiterQueue
from penstock.words.identity import ProviderModelKey
from penstock.words.plugin_failures import PluginMaker
from penstock.words.verdicts import Backlog, Condition, Denied, Released, RequestReason, Signal

__all__ = ["WaitingRequests"]


def _is_ours(kind: type[Any]) -> bool:
    """Whether a queue is as it was written here, and not changed in a class derived from it."""
    return issubclass(kind, LaneRequestWaiters) and all(
        getattr(kind, name) is getattr(LaneRequestWaiters, name)
        for name in ("enqueue", "remove", "select_next", "commit", "wake", "next_change")
    )


class WaitingRequests:
    """Everybody who waits for a request lease."""

    def __init__(
        self,
        queue: RequestWaiterQueue,
        registry: RequestRegistry,
        decider: RequestDecider,
        leasing: RequestLeasing,
        events: EventStream,
        failing: FailingPlugins,
        maker: PluginMaker,
    ) -> None:
        self._maker = maker
        self._registry = registry
        self._room = RequestRoom(registry.nodes)
        self._order_by(queue)
        self.waiting: dict[RequestWaiter, ResourceState] = {}
        self.offer_due = False
        self._decider = decider
        self._leasing = leasing
        self._failing = failing
        self._events = events
        self._record = RequestEvents(events)
        self._ends = WaitEnds(self.waiting)
        self._in_vain: dict[RequestWaiter, Denied] = {}
        """Who was found to wait for what cannot come in time, and is to be refused."""
        self._sequence = 0

    def groups(self) -> set[Hashable]:
        """The keys of the groups for whom calls wait."""
        return {waiter.item.group.key for waiter in self.waiting}

    def _order_by(self, queue: RequestWaiterQueue) -> None:
        self.queue = queue
        self._order: LaneRequestWaiters | GuardedWaiters
        self._guarded = False
        if isinstance(queue, LaneRequestWaiters) and _is_ours(type(queue)):
            self._order, self._answer_to = queue, self._agrees
            queue.make_room(self._room)
        else:
            self._order, self._answer_to, self._guarded = GuardedWaiters(queue, self._maker), self._check, True

    def new_waiter(self, item: RequestAdmissionItem, now: float) -> RequestWaiter:
        """A waiter for `item`, not in the queue yet."""
        self._sequence += 1
        correlation = current_correlation() if self._events.active else None
        return RequestWaiter(item, now, self._sequence, end_of_wait(item, now), correlation=correlation)

    def lease_or_refusal(self, books: Books, item: RequestAdmissionItem, now: float) -> RequestAdmissionLease | Denied:
        """A lease for one whom nobody is ahead of, or why not."""
        denied = self._decider.check(books, item, now)
        while denied is None:
            lease = self._leasing.open(books, item, now)
            if lease is not None:
                return lease
            denied = self._decider.check(books, item, now)  # a limiter has failed, and refuses from now on
        return denied

    def ask(self, waiter: RequestWaiter, books: Books, now: float) -> None:
        """Give the waiter its lease, refuse it, or put it in the queue. Changes nothing for anybody else."""
        item, gives_up_at = waiter.item, waiter.gives_up_at
        waiter.books, (state, group) = books, books
        if state.provider.waiting or (self.waiting and group.restrains(item)):
            denied = self._decider.check(books, item, now)
        else:
            answer = self.lease_or_refusal(books, item, now)
            if isinstance(answer, RequestAdmissionLease):
                self._at_once(waiter, state, answer, now)
                return
            denied = answer
        if denied is not None and (denied.failed_at is not None or self._failing.any):
            denied = self._failing.refusal(state, item, denied, now)
        if denied is not None and in_vain(denied, gives_up_at, now):
            waiter.refused = refusal(item, denied, now)
            if self._events.active:
                self._record.denied(waiter.refused, now, waiter.correlation)
            return
        waiter.was_asked(denied, now)
        self._join(waiter, state, now)
        if not self._order.nobody_fits():
            self._offer_to(waiter, now)
        if gives_up_at is not None and gives_up_at <= now and waiter in self.waiting:
            ahead = Denied("queued_waiters_ahead", state.released[:1], detail="others are ahead", by=CORE)
            self._refuse(waiter, waiter.denied or ahead, RequestAdmissionEffects(), now)
        if state.waiting > state.most_waiting:
            state.most_waiting = state.waiting

    def cancel(self, waiter: RequestWaiter, now: float) -> bool:
        """Whether the waiter was in the queue; it is taken out, and an offer to those behind it is due."""
        if waiter not in self.waiting:
            return False
        self._leave_early(waiter, "cancellation", now)
        return True

    def offer(self, effects: RequestAdmissionEffects, now: float) -> None:
        """Offer places until nobody who is eligible is left; what comes of it is added to `effects`."""
        order, waiting = self._order, self.waiting
        while waiting:
            if self._in_vain or self._ends.deadlines.moments:
                self._end_waits_in_vain(effects, now)
            waiter = order.choose(self._answer_to, now)
            if self._in_vain:
                continue
            if waiter is None:
                break
            self._grant(waiter, effects, now)
            if order.nobody_fits():
                break
        self.offer_due = False

    def _offer_to(self, newcomer: RequestWaiter, now: float) -> None:
        """The same where nothing may come of it for anybody else: what would, is left for the next offer."""
        while newcomer in self.waiting:
            waiter = self._order.choose(self._answer_to, now)
            refused = self._in_vain.pop(newcomer, None)
            if refused is not None:
                self._refuse(newcomer, refused, RequestAdmissionEffects(), now)
            elif waiter is newcomer:
                self._grant(newcomer, RequestAdmissionEffects(), now)
            else:
                self.offer_due = self.offer_due or waiter is not None or bool(self._in_vain)
                return
        if self.waiting and not self._order.nobody_fits():
            self.offer_due = True  # its coming, or a moment that was due, may have freed the way for others

    def _end_waits_in_vain(self, effects: RequestAdmissionEffects, now: float) -> None:
        """Refuse those whose deadline has passed, and those who were found to wait for what cannot come in time."""
        late = self._ends.pop_late(now)
        while late is not None:
            self._give_up(late, effects, now)
            late = self._ends.pop_late(now)
        while self._in_vain:
            waiter, denied = self._in_vain.popitem()
            if waiter in self.waiting:
                self._refuse(waiter, denied, effects, now)

    def expire(self, effects: RequestAdmissionEffects, now: float) -> None:
        """End the waits whose time is over."""
        expired = self._ends.pop_due(now)
        while expired is not None:
            self._give_up(expired, effects, now)
            expired = self._ends.pop_due(now)

    def refuse_all(self, denied: Denied, effects: RequestAdmissionEffects, now: float) -> None:
        """End every wait with one refusal."""
        for waiter in tuple(self.waiting):
            self._refuse(waiter, denied, effects, now)

    def refuse_too_large(self, model: ModelState, effects: RequestAdmissionEffects, now: float) -> None:
        """End the waits for more of a model than its caps ever leave."""
        for waiter, state in tuple(self.waiting.items()):
            if state.model is model and waiter.item.cost.requests > state.cap:
                self._refuse(waiter, too_large(state, waiter.item.cost.requests), effects, now)

    def abandon(self, queue: RequestWaiterQueue, now: float) -> None:
        """End every wait without the queue, which cannot be trusted any more; `queue` is an empty one in its place."""
        self._order_by(queue)
        self._in_vain.clear()
        for waiter in tuple(self.waiting):
            if self._events.active:
                self._record.wait_ended(waiter, "shutdown", now)
            self._left(waiter, now)

    def ask_everybody_again(self, now: float) -> None:
        """What anybody was refused for does not count any more: all are asked again."""
        self._failing.forget()
        self._look_for_counters()
        for waiter in self.waiting:
            self._order.remove(waiter, now)
            waiter.denied = None
        for waiter in self.waiting:
            self._order.enqueue(waiter, now)

    def _look_for_counters(self) -> None:
        self._room.has_counters = any(node.counters for node in self._registry.nodes.values())

    def offer_released(
        self, states: Iterable[ResourceState], effects: RequestAdmissionEffects, now: float, *, group: Any = None
    ) -> None:
        """Places came free, or limits may have grown: there, and so at the other resources of their models; and for the
        group of a call that came back, at all models.
        """
        if self._order.somebody_waits_for():
            for state in states:
                others = state.model.resources.values()
                more = [other.released[0] for other in others if other.waiting and other is not state]
                if group is not None:
                    more += [Released(group), self._registry.groups.known[group].released]
                self._order.released((*state.released, *more), now)
        self.offer(effects, now)

    def offer_signalled(self, name: str, effects: RequestAdmissionEffects, now: float) -> None:
        """A signal came."""
        if self.waiting:
            self._order.wake(Signal(name), ALL, now)
            self.offer(effects, now)

    def next_change(self, now: float) -> float | None:
        """When an offer or an end of a wait is due; `None` while nobody waits."""
        if not self.waiting or self.offer_due:
            return now if self.waiting else None
        queue, ends = self._order.next_change(now), self._ends.all
        timeout = ends.next_moment() if ends.moments else None
        if queue is None or (timeout is not None and timeout < queue):
            return timeout
        return queue

    def refusal_of(self, waiter: RequestWaiter, now: float) -> tuple[Denied | None, float]:
        """What a waiter stands under, and since when at least; `None` if nothing refuses it but the order."""
        return self._order.refusal_of(waiter, now)

    def forget_model(self, key: ProviderModelKey) -> None:
        """A model is known no longer, for which nobody waits."""
        self._order.forget_needs()
        self._ends.forget(key)

    def check_invariants(self) -> None:
        """Nobody is in the queue and served, and every count agrees. Raises `AssertionError`."""
        assert len(self.waiting) == self.queue.view().queued_total
        if isinstance(self._order, LaneRequestWaiters):
            self._order.check_invariants()
        waiting_at: Counter[int] = Counter()
        for waiter, state in self.waiting.items():
            assert waiter.lease is None, "a waiter with a lease is still in the queue"
            assert waiter.refused is None, "a waiter that was refused is still in the queue"
            waiting_at.update((id(state), id(state.provider)))
        for state in self.waiting.values():
            assert state.waiting == waiting_at[id(state)], state.text
            assert state.provider.waiting == waiting_at[id(state.provider)], str(state.provider.key)

    # -- what is asked --

    def _agrees(self, waiter: RequestWaiter, now: float) -> Denied | None:
        """The answer to one for whom there is room, or would be kept."""
        denied = self._decider.check(waiter.books, waiter.item, now, True)
        if denied is not None:
            denied = self._noted(waiter, denied, now)
            waiter.was_asked(denied, now)
        else:
            waiter.denied = None
        return denied

    def _check(self, waiter: RequestWaiter, now: float) -> Denied | None:
        """The answer to one of a queue that knows of no room."""
        denied = self._decider.check(waiter.books, waiter.item, now)
        return None if denied is None else self._noted(waiter, denied, now)

    def _noted(self, waiter: RequestWaiter, denied: Denied, now: float) -> Denied:
        """The refusal under which one is to wait, with a note of all who wait in vain under it."""
        item = waiter.item
        if denied.failed_at is not None or self._failing.any:
            denied = self._failing.refusal(self.waiting[waiter], item, denied, now)
        if denied.final:  # of others nothing is said: they are asked in their turn
            self._in_vain[waiter] = denied
            return attrs.evolve(denied, scope="task", cohort=None)
        for other in self._ends.before_the_end_of(denied, item.resource):
            own = denied if other is waiter else self._decider.check(other.books, other.item, now, True)
            if own is not None and comes_too_late(own, other.gives_up_at):
                self._in_vain[other] = own
        return denied

    # -- coming and going --

    def _at_once(self, waiter: RequestWaiter, state: ResourceState, lease: RequestAdmissionLease, now: float) -> None:
        waiter.lease = lease
        if self._events.active:
            self._record.wait_started(waiter.item, state, now, waiter.correlation)
            self._record.wait_completed(waiter.item, 0.0, now, waiter.correlation)
            self._record.acquired(lease, state, now, waiter.correlation)

    def _join(self, waiter: RequestWaiter, state: ResourceState, now: float) -> None:
        if not self.waiting:
            self._look_for_counters()
        self._order.enqueue(waiter, now)
        if self._events.active:
            self._record.wait_started(waiter.item, state, now, waiter.correlation)
            if not state.waiting:
                self._record.queue_formed(state, now, waiter.denied)
        self.waiting[waiter] = state
        state.waiting += 1
        state.provider.waiting += 1
        if waiter.gives_up_at is not None:
            self._ends.add(waiter)
        if self._guarded:
            self._backlog_changed(waiter, state, now)

    def _grant(self, waiter: RequestWaiter, effects: RequestAdmissionEffects, now: float) -> None:
        """A lease for one who was chosen; none if a limiter fails, which refuses from then on."""
        books: Books = waiter.books
        state, _ = books
        lease = self._leasing.open(books, waiter.item, now)
        if lease is None:
            return
        taken = False
        try:
            taken = self._order.take(waiter, now)
        finally:
            if not taken:
                self._leasing.take_back(state, lease, now)
        if not taken:
            return
        waiter.lease, waiter.denied = lease, None
        if self._events.active:
            self._record.wait_completed(waiter.item, now - waiter.enqueued_at, now, waiter.correlation)
            self._record.acquired(lease, state, now, waiter.correlation)
        self._left(waiter, now)
        effects.granted.append(waiter)
        if not effects.freed_providers or effects.freed_providers[-1] is not state.provider.key:
            effects.freed_providers.append(state.provider.key)

    def _give_up(self, waiter: RequestWaiter, effects: RequestAdmissionEffects, now: float) -> None:
        deadline = waiter.item.deadline
        late = deadline is not None and deadline <= now
        last, _ = self.refusal_of(waiter, now)
        until: frozenset[Condition] = frozenset(self.waiting[waiter].released) if last is None else last.until
        detail = f"waited {now - waiter.enqueued_at:.3f} s" + ("" if last is None else f"; last refused: {last}")
        noted = {} if last is None else last.diagnostics
        reason: RequestReason = "deadline" if late else "queue_timeout"
        self._refuse(waiter, Denied(reason, until, detail=detail, diagnostics=noted, by=CORE), effects, now)

    def _refuse(self, waiter: RequestWaiter, denied: Denied, effects: RequestAdmissionEffects, now: float) -> None:
        effects.freed_providers.append(self.waiting[waiter].provider.key)
        self._leave_early(waiter, denied.reason, now)
        waiter.refused = refusal(waiter.item, denied, now)
        if self._events.active:
            self._record.denied(waiter.refused, now, waiter.correlation)
        effects.refused.append(waiter)

    def _leave_early(self, waiter: RequestWaiter, reason: str, now: float) -> None:
        self._order.remove(waiter, now)
        self.offer_due = True
        if self._events.active:
            self._record.wait_ended(waiter, reason, now)
        self._left(waiter, now)

    def _left(self, waiter: RequestWaiter, now: float) -> None:
        state = self.waiting.pop(waiter)
        state.waiting -= 1
        state.provider.waiting -= 1
        if not state.waiting and self._events.active:
            self._record.queue_drained(state, now)
        if not self.waiting:
            self._ends.clear()
        elif self._guarded:
            self._backlog_changed(waiter, state, now)

    def _backlog_changed(self, waiter: RequestWaiter, state: ResourceState, now: float) -> None:
        """What waits has changed. A queue of lanes knows by itself; who drives another one has to say so."""
        for key in (state.key, state.model.key, state.provider.key, waiter.item.group.key):
            self._order.wake(Backlog(key), ALL, now)
