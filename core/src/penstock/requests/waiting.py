"""The waiting requests: who waits, until when, and how places are offered to them.

The order is the waiter queue's, which may be a plugin: this module relies on nothing but the protocol.
Between two calls of the controller nobody waits who is eligible, unless `offer_due` says that an offer
is still to come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

import attrs

from penstock.events.correlation import current_correlation
from penstock.events.records import EventStream
from penstock.requests.deciding import CORE, RequestDecider, comes_too_late, in_vain
from penstock.requests.effects import RequestAdmissionEffects, refusal
from penstock.requests.events import RequestEvents
from penstock.requests.failing import FailingPlugins
from penstock.requests.items import RequestAdmissionItem, RequestAdmissionLease
from penstock.requests.leasing import RequestLeasing
from penstock.requests.registry import ResourceState
from penstock.requests.timeouts import Timeouts, end_of_wait
from penstock.requests.waiters import RequestQueueSelection, RequestWaiter, RequestWaiterQueue
from penstock.words.identity import RequestResourceKey
from penstock.words.plugin_failures import PluginMaker
from penstock.words.verdicts import Backlog, Condition, Denied, Released

__all__ = ["WaitingRequests"]

_STALE_SELECTIONS: Final = 3


class WaitingRequests:
    """Everybody who waits for a request lease."""

    def __init__(
        self,
        queue: RequestWaiterQueue,
        states: Mapping[RequestResourceKey, ResourceState],
        decider: RequestDecider,
        leasing: RequestLeasing,
        events: EventStream,
        failing: FailingPlugins,
        maker: PluginMaker,
    ) -> None:
        self.queue = queue
        self._maker = maker
        self.waiting: dict[RequestWaiter, ResourceState] = {}
        self.offer_due = False
        self._states = states
        self._decider = decider
        self._leasing = leasing
        self._failing = failing
        self._events = events
        self._record = RequestEvents(events)
        self._with_timeout: dict[RequestAdmissionItem, dict[RequestWaiter, None]] = {}
        """Who waits for a time only, by what it asks for."""
        self._timeouts = Timeouts(self.waiting)
        self._deadlines = Timeouts(self.waiting)
        self._hopeless: list[tuple[RequestWaiter, Denied]] = []
        self._refused_for_good: dict[RequestAdmissionItem, Denied] = {}
        self._named: set[Condition] = set()
        """What any waiter may be waiting for, of what `wake_released` says."""
        self._watched: set[Condition] = set()
        """The same of what is seldom waited for."""
        self._large = 0  # how many ask for several requests at once
        self._sequence, self._asked_at = 0, 0.0

    def new_waiter(self, item: RequestAdmissionItem, now: float) -> RequestWaiter:
        """A waiter for `item`, not in the queue yet."""
        self._sequence += 1
        correlation = current_correlation() if self._events.active else None
        return RequestWaiter(item, now, self._sequence, end_of_wait(item, now), correlation=correlation)

    def lease_or_refusal(
        self, state: ResourceState, item: RequestAdmissionItem, now: float
    ) -> RequestAdmissionLease | Denied:
        """A lease for one whom nobody is ahead of, or why not."""
        denied = self._decider.check(state, item, now)
        while denied is None:
            lease = self._leasing.open(state, item, now)
            if lease is not None:
                return lease
            denied = self._decider.check(state, item, now)  # a limiter has failed, and refuses from now on
        return denied

    def ask(self, waiter: RequestWaiter, state: ResourceState, now: float) -> None:
        """Give the waiter its lease, refuse it, or put it in the queue. Changes nothing for anybody else."""
        item = waiter.item
        if state.provider.waiting:
            denied = self._decider.check(state, item, now)
        else:
            answer = self.lease_or_refusal(state, item, now)
            if isinstance(answer, RequestAdmissionLease):
                self._at_once(waiter, state, answer, now)
                return
            denied = answer
        if denied is not None and (denied.failed_at is not None or self._failing.any):
            denied = self._failing.refusal(state, item, denied, now)
        no_place = denied is not None and (denied is state.full or denied is state.model.full)
        ends = waiter.gives_up_at
        if denied is not None and not (no_place and ends is None) and in_vain(denied, ends, now):
            waiter.refused = refusal(item, denied, now)
            if self._events.active:
                self._record.denied(waiter.refused, now, waiter.correlation)
            return
        waiter.was_asked(denied, now)
        self._join(waiter, state, now)
        if denied is not None and no_place and not self._large:
            self._named |= denied.until  # it is offered what comes free, like all others, of whom none needs more
        else:
            self._offer_to(waiter, state, now)

    def cancel(self, waiter: RequestWaiter, now: float) -> bool:
        """Whether the waiter was in the queue; it is taken out, and an offer to those behind it is due."""
        state = self.waiting.get(waiter)
        if state is None:
            return False
        self._leave_early(waiter, state, "cancellation", now)
        return True

    def offer(self, effects: RequestAdmissionEffects, now: float) -> None:
        """Offer places until nobody who is eligible is left."""
        self.offer_due = False
        while self._deadlines.moments:
            passed = self._deadlines.pop_due(now, strictly=True)
            if passed is None:
                break
            self._give_up(passed, effects, now)
        self._asked_at = now
        stale = 0
        while self.waiting:
            selection: object = self.queue.select_next(self._ask, now)
            if self._hopeless or self._refused_for_good:
                self._refuse_hopeless(effects, now)
                continue
            if selection is None:
                break
            if not isinstance(selection, RequestQueueSelection) or selection.waiter not in self.waiting:
                raise self._maker.error(
                    "select_next must return a RequestQueueSelection of a waiter in the queue, or None"
                )
            waiter = selection.waiter
            state = self.waiting[waiter]
            lease = self._leasing.open(state, waiter.item, now)
            if lease is None:
                continue
            if self.queue.commit(selection, now) is not waiter:
                stale = self._stale(state, lease, stale, now)
                continue
            stale = 0
            self._granted(waiter, state, lease, now)
            effects.granted.append(waiter)
            effects.freed_providers.append(state.provider.key)
            if state.in_flight >= state.cap and state.waiting == len(self.waiting):
                break  # all wait for the same, and the last place of it has just been given
        self.offer_due = False

    def expire(self, effects: RequestAdmissionEffects, now: float) -> None:
        """End the waits whose time is over."""
        expired = self._timeouts.pop_due(now)
        while expired is not None:
            self._give_up(expired, effects, now)
            expired = self._timeouts.pop_due(now)

    def refuse_all(self, denied: Denied, effects: RequestAdmissionEffects, now: float) -> None:
        """End every wait with one refusal."""
        for waiter in tuple(self.waiting):
            self._refuse(waiter, denied, effects, now)

    def abandon(self, queue: RequestWaiterQueue, now: float) -> None:
        """End every wait without the queue, which cannot be trusted any more; `queue` is an empty one in its place."""
        self.queue = queue
        self._hopeless.clear()
        self._refused_for_good.clear()
        self._watched.clear()
        for waiter, state in tuple(self.waiting.items()):
            if self._events.active:
                self._record.wait_ended(waiter, "shutdown", now)
            self._left(waiter, state, now)

    def ask_everybody_again(self, now: float) -> None:
        """What anybody was refused for does not count any more: all are asked again."""
        self._failing.forget()
        for waiter in self.waiting:
            self.queue.remove(waiter, now)
            waiter.denied = None
        for waiter in self.waiting:
            self.queue.enqueue(waiter, now)

    def wake_released(self, state: ResourceState, group: object, now: float) -> None:
        """Places came free, or limits may have grown.

        How much is free follows from the static caps: no more could be served, and how much less only the
        limiters know.
        """
        _, model, provider = state.released
        named = self._named
        if provider in named and state.provider.waiting:
            self.queue.wake(provider, state.provider.waiting, now)
        free = state.model.cap - state.model.in_flight
        if free > 0:
            for other in state.model.resources.values():
                own = other.released[0]
                if other.waiting and own in named and other.cap > other.in_flight:
                    self.queue.wake(own, min(free, other.cap - other.in_flight), now)
            if model in named:
                self.queue.wake(model, free, now)
        if self._watched:  # also those of other resources, who are refused until something comes back here
            for condition in (*state.released, Released(group)):
                self._wake_watched(condition, now)

    def next_change(self, now: float) -> float | None:
        """When an offer or an end of a wait is due; `None` while nobody waits."""
        if not self.waiting or self.offer_due:
            return now if self.waiting else None
        queue = self.queue.next_change(now)
        timeout = self._timeouts.next_moment() if self._timeouts.moments else None
        if queue is None or timeout is None:
            return timeout if queue is None else queue
        return min(queue, timeout)

    def check_invariants(self) -> None:
        """Nobody is in the queue and served, and every count agrees. Raises `AssertionError`."""
        assert len(self.waiting) == self.queue.view().queued_total
        with_timeout = sum(waiter.gives_up_at is not None for waiter in self.waiting)
        assert with_timeout == sum(map(len, self._with_timeout.values()))
        waiting_at: Counter[int] = Counter()
        for waiter, state in self.waiting.items():
            assert waiter.lease is None, "a waiter with a lease is still in the queue"
            assert waiter.refused is None, "a waiter that was refused is still in the queue"
            waiting_at.update((id(state), id(state.provider)))
        for state in self.waiting.values():
            assert state.waiting == waiting_at[id(state)], state.text
            assert state.provider.waiting == waiting_at[id(state.provider)], str(state.provider.key)

    # -- inside --

    def _ask(self, item: RequestAdmissionItem) -> Denied | None:
        """What the queue asks of each candidate."""
        state = self._states[item.resource]
        denied = self._decider.check(state, item, self._asked_at)
        if denied is None:
            return None
        if denied.failed_at is not None or self._failing.any:
            denied = self._failing.refusal(state, item, denied, self._asked_at)
        if denied.final:
            self._refused_for_good[item] = denied
            return attrs.evolve(denied, scope="task", cohort=None)
        if item.deadline is not None or item.queue_wait_timeout is not None:
            waiters = self._with_timeout.get(item, ())
            self._hopeless += [(waiter, denied) for waiter in waiters if comes_too_late(denied, waiter.gives_up_at)]
        for condition in denied.until:
            own = condition in state.released
            if own:
                self._named.add(condition)
            # others of its cohort, who wait for other resources, are refused until then too
            of_others = not own or (denied.cohort is not None and denied.reason != "no_capacity")
            if of_others and isinstance(condition, Backlog | Released):
                self._watched.add(condition)
        return denied

    def _at_once(self, waiter: RequestWaiter, state: ResourceState, lease: RequestAdmissionLease, now: float) -> None:
        waiter.lease = lease
        if self._events.active:
            self._record.wait_started(waiter.item, state, now, waiter.correlation)
            self._record.wait_completed(waiter.item, 0.0, now, waiter.correlation)
            self._record.acquired(lease, state, now, waiter.correlation)

    def _join(self, waiter: RequestWaiter, state: ResourceState, now: float) -> None:
        item = waiter.item
        self.queue.enqueue(waiter, now)
        if self._events.active:
            self._record.wait_started(item, state, now, waiter.correlation)
            if not state.waiting:
                self._record.queue_formed(state, now, waiter.denied)
        self.waiting[waiter] = state
        state.waiting += 1
        state.provider.waiting += 1
        self._large += item.cost.requests > 1
        if waiter.gives_up_at is not None:
            self._with_timeout.setdefault(item, {})[waiter] = None
            self._timeouts.add(waiter.gives_up_at, waiter)
        if item.deadline is not None:
            self._deadlines.add(item.deadline, waiter)
        if self._watched:
            self._backlog_changed(waiter, state, now)

    def _offer_to(self, waiter: RequestWaiter, state: ResourceState, now: float) -> None:
        """See whether the queue would choose this waiter next; what it would do for others is left for the
        next offer.
        """
        self._asked_at = now
        due = self.queue.next_change(now)
        if due is not None and due <= now:
            self.offer_due = True  # this takes the moment out of the queue, and others may be waiting for it too
        while waiter in self.waiting:
            selection: object = self.queue.select_next(self._ask, now)
            mine = self._refused_for_good.pop(waiter.item, None)
            if self._hopeless or mine is not None:
                mine = next((denied for hopeless, denied in self._hopeless if hopeless is waiter), mine)
                self.offer_due = True
            if mine is not None:
                self._hopeless = [entry for entry in self._hopeless if entry[0] is not waiter]
                self._refuse(waiter, mine, RequestAdmissionEffects(), now)
            elif selection is None:
                break
            elif not isinstance(selection, RequestQueueSelection) or selection.waiter is not waiter:
                self.offer_due = True
                break
            else:
                lease = self._leasing.open(state, waiter.item, now)
                if lease is not None and self.queue.commit(selection, now) is waiter:
                    self._granted(waiter, state, lease, now)
                elif lease is not None:
                    self._stale(state, lease, _STALE_SELECTIONS, now)
        if waiter in self.waiting and waiter.gives_up_at is not None and waiter.gives_up_at <= now:
            until = state.released[:1]
            denied = waiter.denied or Denied("queued_waiters_ahead", until, detail="others are ahead", by=CORE)
            self._refuse(waiter, denied, RequestAdmissionEffects(), now)

    def _granted(self, waiter: RequestWaiter, state: ResourceState, lease: RequestAdmissionLease, now: float) -> None:
        waiter.lease, waiter.denied = lease, None
        if self._events.active:
            self._record.wait_completed(waiter.item, now - waiter.enqueued_at, now, waiter.correlation)
            self._record.acquired(lease, state, now, waiter.correlation)
        self._left(waiter, state, now)

    def _give_up(self, waiter: RequestWaiter, effects: RequestAdmissionEffects, now: float) -> None:
        deadline = waiter.item.deadline
        late = deadline is not None and deadline <= now
        last = waiter.denied
        until: frozenset[Condition] = frozenset(self.waiting[waiter].released) if last is None else last.until
        detail = f"waited {now - waiter.enqueued_at:.3f} s" + ("" if last is None else f"; last refused: {last}")
        self._refuse(
            waiter, Denied("deadline" if late else "queue_timeout", until, detail=detail, by=CORE), effects, now
        )

    def _refuse_hopeless(self, effects: RequestAdmissionEffects, now: float) -> None:
        hopeless, self._hopeless = self._hopeless, []
        if self._refused_for_good:
            final, self._refused_for_good = self._refused_for_good, {}
            hopeless += [(waiter, final[waiter.item]) for waiter in self.waiting if waiter.item in final]
        for waiter, denied in hopeless:
            if waiter in self.waiting:
                self._refuse(waiter, denied, effects, now)

    def _refuse(self, waiter: RequestWaiter, denied: Denied, effects: RequestAdmissionEffects, now: float) -> None:
        state = self.waiting[waiter]
        self._leave_early(waiter, state, denied.reason, now)
        effects.freed_providers.append(state.provider.key)
        waiter.refused = refusal(waiter.item, denied, now)
        if self._events.active:
            self._record.denied(waiter.refused, now, waiter.correlation)
        effects.refused.append(waiter)

    def _leave_early(self, waiter: RequestWaiter, state: ResourceState, reason: str, now: float) -> None:
        self.queue.remove(waiter, now)
        self.offer_due = True
        if self._events.active:
            self._record.wait_ended(waiter, reason, now)
        self._left(waiter, state, now)

    def _left(self, waiter: RequestWaiter, state: ResourceState, now: float) -> None:
        del self.waiting[waiter]
        if not self.waiting:
            self._named.clear()
            self._watched.clear()
        state.waiting -= 1
        state.provider.waiting -= 1
        self._large -= waiter.item.cost.requests > 1
        if waiter.gives_up_at is not None:
            same_item = self._with_timeout[waiter.item]
            del same_item[waiter]
            if not same_item:
                del self._with_timeout[waiter.item]
        if not state.waiting and self._events.active:
            self._record.queue_drained(state, now)
        if self._watched:
            self._backlog_changed(waiter, state, now)

    def _backlog_changed(self, waiter: RequestWaiter, state: ResourceState, now: float) -> None:
        for key in (state.key, state.model.key, state.provider.key, waiter.item.group.key):
            self._wake_watched(Backlog(key), now)

    def _wake_watched(self, condition: Condition, now: float) -> None:
        """Wake for a condition that few ever name, if somebody has."""
        if condition in self._watched:
            self._watched.discard(condition)
            self.queue.wake(condition, len(self.waiting) + 1, now)

    def _stale(self, state: ResourceState, lease: RequestAdmissionLease, before: int, now: float) -> int:
        self._leasing.take_back(state, lease, now)
        if before + 1 >= _STALE_SELECTIONS:
            raise self._maker.error("would not commit what it had just selected, though nothing changed between")
        return before + 1
