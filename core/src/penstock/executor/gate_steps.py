"""The steps of the request gate: what its controller has decided is delivered, and the gate ends where a queue fails.

Nothing here waits, and nothing is protected against Ctrl+C by itself: who calls it is (`gate.py`, `attempt.py`), so
that it can be compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from math import inf
from typing import Final

import trio

from penstock.events.records import EventStream
from penstock.executor.gate_failure import GateFailure
from penstock.executor.gate_timer import GateTimer
from penstock.executor.lease_waits import LeaseWaits
from penstock.executor.run_thread import RunThread
from penstock.executor.turns import Turns
from penstock.executor.unconfigured import UnconfiguredModels
from penstock.requests.admission import RequestAdmissionController, RequestAdmissionEffects
from penstock.requests.events import RequestEvents
from penstock.requests.items import (
    RequestAdmissionDenied,
    RequestAdmissionError,
    RequestAdmissionItem,
    RequestAdmissionLease,
)
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.waiters import RequestWaiter
from penstock.words.identity import ProviderKey, ProviderModelKey
from penstock.words.plugin_failures import OnPluginFailure, waited_in_vain

__all__ = ["GateSteps"]

_UNUSED: Final = RequestReleaseOutcome(kind="local_cancelled", went_out=False, detail="its turn came in another line")


class GateSteps:
    """The steps of a `RequestGate`, which explains the arguments."""

    def __init__(
        self,
        controller: RequestAdmissionController,
        events: EventStream,
        default_cap: int | None,
        on_failure: OnPluginFailure,
    ) -> None:
        self.controller = controller
        """What decides; whatever changes it must go through here."""
        self._events = events
        self._record = RequestEvents(events)
        self.default_cap = default_cap
        self.unconfigured = UnconfiguredModels(controller)
        """The models that nobody configured."""
        self.waits = LeaseWaits()
        """Who is parked, and who holds a lease in a block that it is in."""
        self.turns = Turns()
        """Who waits without a task."""
        self.failure = GateFailure(controller.queue, controller.maker, on_failure)
        self.run = RunThread()
        """The run that the gate belongs to, from its block on."""
        self.now = self.run.now
        self.timer = GateTimer(self._turn)
        self.left = False
        """Whether the block of the gate has been left."""
        self.on_freed_provider: Callable[[ProviderKey, float], None] | None = None

    # -- leases --

    def enter(self, items: Sequence[RequestAdmissionItem], now: float) -> tuple[RequestWaiter, list[RequestWaiter]]:
        """The waiter that has its lease, or was refused in the first line; and those that wait, if none has."""
        if len(items) == 1:
            waiter = self.enqueue(items[0], now)
            self.after(now)
            return waiter, [waiter] if waiter.lease is None and waiter.refused is None else []
        lines: list[RequestWaiter] = []
        try:
            for item in items:
                lines.append(self.enqueue(item, now))
                if lines[-1].lease is not None:
                    break
        except BaseException:
            self.leave(lines)
            raise
        self.after(now)
        chosen = next((waiter for waiter in lines if waiter.lease is not None), None)
        if chosen is None:
            return lines[0], [waiter for waiter in lines if waiter.refused is None]
        self.leave([waiter for waiter in lines if waiter is not chosen])
        return chosen, []

    def enqueue(self, item: RequestAdmissionItem, now: float) -> RequestWaiter:
        self._before_asking(item)
        run = self.run
        try:
            run.deciding = True  # as `decide`, without arguments that have to be packed for it
            try:
                return self.controller.enqueue(item, now)
            finally:
                run.deciding = False
        except BaseException as error:
            self._fail_if_the_queue_did(error)
            raise

    def try_acquire(self, item: RequestAdmissionItem, now: float) -> RequestAdmissionLease | RequestAdmissionDenied:
        self._before_asking(item)
        try:
            return self.run.decide(self.controller.try_acquire, item, now)
        except BaseException as error:
            self._fail_if_the_queue_did(error)
            raise

    def _before_asking(self, item: RequestAdmissionItem) -> None:
        if self.failure.cause is not None:
            raise self.failure.error() from self.failure.cause
        if self.default_cap is not None:
            self.register_unconfigured(item.resource.provider_model, self.default_cap)

    def _fail_if_the_queue_did(self, error: BaseException) -> None:
        """Raises `PluginError` then; what else there is, such as a limiter's, is the caller's to hear."""
        if self.failure.is_the_queues(error):
            self._fail(error)
            raise self.failure.error() from error

    def lease_of(self, waiter: RequestWaiter, since: float) -> RequestAdmissionLease:
        """The lease of a waiter whose wait is over. Raises why it has none."""
        if waiter.lease is not None:
            return waiter.lease
        if waiter.refused is None:
            stalled = self.waits.stalled.pop(waiter, None)
            if stalled is not None:
                raise stalled
            raise self.failure.error() from self.failure.cause
        in_vain = waited_in_vain(waiter.refused.denied, "call", self.run.now() - since)
        raise in_vain or RequestAdmissionError(waiter.refused)

    def leave(self, lines: Iterable[RequestWaiter]) -> None:
        """Leave the lines in which a call has waited beside the one in which its turn came."""
        for waiter in lines:
            self.waits.unpark(waiter)
            lease, waiter.lease = waiter.lease, None
            if lease is not None:
                self.give_back(lease, _UNUSED, self.run.now_to_change())
            elif waiter.refused is None:
                self._cancel(waiter)

    # -- the call that a lease is for --

    def call_started(self, lease: RequestAdmissionLease, now: float) -> None:
        """Record that the call of a lease goes out."""
        if self._events.active:
            self._record.started(lease, now)
            self._events.deliver()

    def call_completed(
        self, lease: RequestAdmissionLease, outcome: RequestReleaseOutcome, elapsed: float, now: float
    ) -> None:
        """Record the end of the call of a lease, and give the lease back; `now` is that of `run.now_to_change`."""
        if self._events.active:
            self._record.completed(lease, outcome, elapsed, now)
        self.give_back(lease, outcome, now)

    def give_back(
        self, lease: RequestAdmissionLease, outcome: RequestReleaseOutcome, now: float
    ) -> RequestAdmissionEffects | None:
        """The effects of a lease that comes back, which are delivered; `None` if the gate failed in it."""
        run = self.run
        try:
            run.deciding = True
            try:
                effects = self.controller.release(lease, outcome, now)
            finally:
                run.deciding = False
        except BaseException as error:
            self._fail(error)
            return None
        self.deliver(effects, now)
        return effects

    # -- what changes the gate --

    def register_unconfigured(self, key: ProviderModelKey, cap: int) -> None:
        """Make a model known that is not configured, if it is not; idle ones of them may be forgotten for it."""
        if self.unconfigured.take_on(key):
            now = self.run.now()
            self.deliver(self.run.decide(self.controller.register, key.provider_name, key.model_id, cap, now), now)

    # -- inside --

    def abort(self, waiters: Iterable[RequestWaiter], _: object) -> trio.lowlevel.Abort:
        """Called by trio while it cancels: an exception here would hang the run, so the timer task gets it."""
        for waiter in waiters:
            self.waits.unpark(waiter)
            self._cancel(waiter)
        return trio.lowlevel.Abort.SUCCEEDED

    def _cancel(self, waiter: RequestWaiter) -> None:
        """Take a waiter out of the queue; the timer task offers again what it leaves."""
        if self.failure.cause is None:
            try:
                self.controller.cancel(waiter, trio.current_time())
            except BaseException as error:
                self.failure.cause = error
        self.timer.move(-inf)

    def settle(
        self, now: float, change: Callable[..., RequestAdmissionEffects], *arguments: object
    ) -> RequestAdmissionEffects | None:
        """Carry a change of state out and deliver it; `None` if the gate failed in it."""
        try:
            effects = self.run.decide(change, *arguments, now)
        except BaseException as error:
            self._fail(error)
            return None
        self.deliver(effects, now)
        return effects

    def deliver(self, effects: RequestAdmissionEffects, now: float) -> None:
        for waiter in effects.granted:
            self.unpark(waiter)
        for waiter in effects.refused:
            self.unpark(waiter)
        self._report_freed(effects, now)
        self.after(now)
        if self.turns.due:
            self.turns.call_back()

    def _report_freed(self, effects: RequestAdmissionEffects, now: float) -> None:
        freed: Collection[ProviderKey] = effects.freed_providers
        if self.on_freed_provider is not None:
            for provider in freed if len(freed) == 1 else dict.fromkeys(freed):
                self.on_freed_provider(provider, now)

    def unpark(self, waiter: RequestWaiter) -> None:
        if waiter in self.turns.waiting:
            self.leave(self.turns.settle(waiter))
        task, others = self.waits.unpark(waiter)
        if task is None:
            return
        if others:
            if waiter.lease is None and any(each.parked is not None for each in others):
                return  # refused in one line, and its turn may come in another
            self.leave(others)
        trio.lowlevel.reschedule(task)

    def after(self, now: float) -> None:
        """Set the timer for what is due next, and deliver the events of what has happened."""
        try:
            moment = self.controller.next_change(now)
        except BaseException as error:
            self._fail(error)
            return
        if moment is not None:
            self.timer.move(moment if moment > now else -inf)  # -inf: what is due stays so, however often it is found
        elif self.timer.at != inf:
            self.timer.move(inf)
        if self._events.active:
            self._events.deliver()

    def _turn(self) -> bool:
        """Whether the timer goes on. Its moment has come, or a waiter was cancelled, or the block is left."""
        if self.failure.cause is not None:
            self._fail(self.failure.cause)
        elif not self.left:
            self.timer.at = inf
            now = trio.current_time()
            self.settle(now, self.controller.advance)
        return not self.left and not self.failure.reported

    def _fail(self, error: BaseException) -> None:
        """The waiter queue cannot be trusted any more: no waiter gets a lease, and each gets the error instead."""
        now = trio.current_time()
        effects = RequestAdmissionEffects()
        if self.failure.note(error):
            effects = self.controller.abandon(now)
        for waiter in (*self.waits.parked, *self.turns.waiting):
            self.unpark(waiter)
        self._report_freed(effects, now)
        self._events.deliver()
        self.turns.call_back()
