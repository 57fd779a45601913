"""The trio shell around the controller of the request gate: the controller decides, this waits.

Whoever has to wait is parked with `trio.lowlevel.wait_task_rescheduled`: it is either in the queue, and
cancelling takes it out, or it has been given its lease. There is no moment between, so no lease can be lost.
The abort function only unlinks and marks; the timer task then offers again, since a cancelled head may free
the way for others.

One timer task sleeps under a scope whose deadline is moved to the earliest moment that matters to anybody;
nothing polls. It is a system task, so that what the block raises comes out of `async with` as it is, in no
exception group. A waiter queue that breaks its contract is no reason to hang: the gate fails, and everybody
who waits or asks gets a `PluginError` with the name of the plugin that made it. Nothing else ends the gate, but
a fault of its own. Nor may a plugin call the gate while it is asked (`RunThread.decide`).

Whatever a limiter, a rule or a queue raises is caught, `BaseException` too. Lest that be a real Ctrl+C, who decides
runs under trio's protection (`enable_ki_protection`, which costs nothing): the main task gets it when that waits next.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from math import inf
from types import TracebackType
from typing import Final, Self, TypeVar

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
from penstock.requests.hints import Hints
from penstock.requests.items import (
    RequestAdmissionDenied,
    RequestAdmissionError,
    RequestAdmissionItem,
    RequestAdmissionLease,
)
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.reconfiguring import RequestGatePlan
from penstock.requests.waiters import RequestWaiter
from penstock.words.checks import shown
from penstock.words.errors import ConfigError, StallError
from penstock.words.identity import ProviderKey, ProviderModelKey
from penstock.words.plugin_failures import OnPluginFailure, unheard, waited_in_vain

__all__ = ["RequestGate"]

A = TypeVar("A")

_UNUSED: Final = RequestReleaseOutcome(kind="local_cancelled", went_out=False, detail="its turn came in another line")


class RequestGate:
    """The leases of a controller, for those who await them. Use it as `async with gate:`; leaving the block shuts it.

    `default_cap` is the cap of a model that nobody configured, given when it is first asked for; without one
    such a call is refused. `on_failure` is called with what ended the gate, if the waiter queue did.
    """

    def __init__(
        self,
        controller: RequestAdmissionController,
        events: EventStream,
        *,
        default_cap: int | None = None,
        on_failure: OnPluginFailure = unheard,
    ) -> None:
        self.controller = controller
        """What decides; whatever changes it must go through here."""
        self._events = events
        self._record = RequestEvents(events)
        self._default_cap = default_cap
        self.unconfigured = UnconfiguredModels(controller)
        """The models that nobody configured."""
        self.waits = LeaseWaits()
        """Who is parked, and who holds a lease in a block that it is in."""
        self.turns = Turns()
        """Who waits without a task."""
        self._failure = GateFailure(controller.queue, controller.maker, on_failure)
        self.run = RunThread()
        """The run that the gate belongs to, from its block on."""
        self.now = self.run.now
        self._timer = GateTimer(self._turn)
        self._left = False
        self._on_freed_provider: Callable[[ProviderKey, float], None] | None = None

    @property
    def on_freed_provider(self) -> Callable[[ProviderKey, float], None] | None:
        """A callback, with the moment, for each provider at which calls may meet less pressure than before: a call came
        back, a waiter left the queue, a cap or a limiter changed; not when time alone ends a cooldown. The change is
        complete by then. It must not call the gate. Raises `ConfigError` for what cannot be called.
        """
        return self._on_freed_provider

    @on_freed_provider.setter
    def on_freed_provider(self, callback: Callable[[ProviderKey, float], None] | None) -> None:
        if callback is not None and not callable(callback):
            raise ConfigError(f"on_freed_provider must be a function of a provider and a moment, not {shown(callback)}")
        self._on_freed_provider = callback

    # -- the block --

    async def __aenter__(self) -> Self:
        self.run.enter()
        self.waits.blocks.watch(trio.lowlevel.spawn_system_task(self._timer.run, name="penstock request timer"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._left = True
        self.waits.blocks.unwatch()
        self._timer.stop()
        if error is None and self._failure.cause is not None:
            raise self._failure.error() from self._failure.cause

    @trio.lowlevel.enable_ki_protection
    def close(self) -> None:
        """The end of admission: who waits or asks is refused with `shutdown`. Calls that are out go on and release
        as ever.
        """
        now = self.run.now_to_change()
        self._settle(now, self.controller.close)

    def may_know(self, key: ProviderModelKey) -> bool:
        """Whether calls to a provider + model are not refused for being unknown."""
        return self._default_cap is not None or self.controller.knows(key)

    # -- leases --

    @trio.lowlevel.enable_ki_protection
    def try_acquire(self, item: RequestAdmissionItem) -> RequestAdmissionLease | RequestAdmissionDenied:
        """A lease now, or why not."""
        now = self.run.now_to_change()
        answer = self._asked(self.controller.try_acquire, item, now)
        self._after(now)
        return answer

    @trio.lowlevel.enable_ki_protection
    async def acquire(self, item: RequestAdmissionItem) -> RequestAdmissionLease:
        """A lease, as soon as it is this call's turn. Raises `RequestAdmissionError`, or trio's `Cancelled`.

        Checks for cancellation always, and lets other tasks run only if it has to wait.
        """
        now = self.run.now_to_change()  # first, since it says what is wrong in another thread
        await trio.lowlevel.checkpoint_if_cancelled()
        waiter = self._asked(self.controller.enqueue, item, now)
        self._after(now)  # may give the waiter its lease, where a receiver of events releases another
        if waiter.lease is None and waiter.refused is None:
            # Until the waiter is settled, or the gate has failed. Cancelling takes the waiter out of the queue.
            self.waits.park(waiter)
            await trio.lowlevel.wait_task_rescheduled(partial(self._abort, (waiter,)))
        return self.lease_of(waiter, now)

    @trio.lowlevel.enable_ki_protection
    async def acquire_first(self, items: Sequence[RequestAdmissionItem]) -> RequestAdmissionLease:
        """A lease for one of these items, the first that can have one, in this order where several can: the call waits
        in all lines from now on, and leaves the others in the moment in which its turn comes in one. Raises as
        `acquire`, once it is refused in every line.
        """
        now = self.run.now_to_change()
        await trio.lowlevel.checkpoint_if_cancelled()
        chosen, waiting = self.enter(items, now)
        if waiting:
            self.waits.park_in_lines(waiting)
            await trio.lowlevel.wait_task_rescheduled(partial(self._abort, waiting))
            chosen = next((waiter for waiter in waiting if waiter.lease is not None), chosen)
        return self.lease_of(chosen, now)

    def enter(self, items: Sequence[RequestAdmissionItem], now: float) -> tuple[RequestWaiter, list[RequestWaiter]]:
        """The waiter that has its lease, or was refused in the first line; and those that wait, if none has."""
        lines: list[RequestWaiter] = []
        try:
            for item in items:
                lines.append(self._asked(self.controller.enqueue, item, now))
                if lines[-1].lease is not None:
                    break
        except BaseException:
            self.leave(lines)
            raise
        self._after(now)
        if len(lines) == 1:
            [line] = lines
            return line, lines if line.lease is None and line.refused is None else []
        chosen = next((waiter for waiter in lines if waiter.lease is not None), None)
        if chosen is None:
            return lines[0], [waiter for waiter in lines if waiter.refused is None]
        self.leave([waiter for waiter in lines if waiter is not chosen])
        return chosen, []

    def _asked(self, ask: Callable[[RequestAdmissionItem, float], A], item: RequestAdmissionItem, now: float) -> A:
        if self._failure.cause is not None:
            raise self._failure.error() from self._failure.cause
        if self._default_cap is not None:
            self.register_unconfigured(item.resource.provider_model, self._default_cap)
        try:
            return self.run.decide(ask, item, now)
        except BaseException as error:
            if self._failure.is_the_queues(error):  # what else there is, such as a limiter, is the caller's to hear
                self._fail(error)
                raise self._failure.error() from error
            raise

    def lease_of(self, waiter: RequestWaiter, since: float) -> RequestAdmissionLease:
        """The lease of a waiter whose wait is over. Raises why it has none."""
        if waiter.lease is not None:
            return waiter.lease
        if waiter.refused is None:
            stalled = self.waits.stalled.pop(waiter, None)
            if stalled is not None:
                raise stalled
            raise self._failure.error() from self._failure.cause
        in_vain = waited_in_vain(waiter.refused.denied, "call", self.now() - since)
        raise in_vain or RequestAdmissionError(waiter.refused)

    def leave(self, lines: Iterable[RequestWaiter]) -> None:
        """Leave the lines in which a call has waited beside the one in which its turn came."""
        for waiter in lines:
            self.waits.unpark(waiter)
            lease, waiter.lease = waiter.lease, None
            if lease is not None:
                self.release(lease, _UNUSED)
            elif waiter.refused is None:
                self._cancel(waiter)

    @trio.lowlevel.enable_ki_protection
    def release(self, lease: RequestAdmissionLease, outcome: RequestReleaseOutcome) -> bool:
        """Whether the lease was out; it is given back. Never raises for a lease that is not out."""
        now = self.run.now_to_change()
        effects = self._settle(now, self.controller.release, lease, outcome)
        return effects is None or effects.release is None or effects.release.released

    @trio.lowlevel.enable_ki_protection
    def observe(self, lease: RequestAdmissionLease, hints: Hints) -> None:
        """An answer's hints for the limiters of its lease, before that is released."""
        now = self.run.now_to_change()
        self._settle(now, self.controller.observe, lease, hints)

    def stall(self, waiter: RequestWaiter, error: StallError) -> None:
        """End the wait of a parked waiter with this error."""
        now = self.now()
        self.waits.stalled[waiter] = error
        self.controller.cancel(waiter, now)
        self._unpark(waiter)
        self._after(now)

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
        self._settle(now, self.controller.release, lease, outcome)

    # -- what changes the gate --

    @trio.lowlevel.enable_ki_protection
    def register(
        self,
        provider_name: str,
        model_id: str,
        cap: int | Mapping[str, int],
        *,
        aliases: Iterable[str] = (),
        domain_caps: Mapping[str, int] | None = None,
        domains: Iterable[str] = (),
    ) -> None:
        """Make a model known, or give it another cap; as `RequestAdmissionController.register`."""
        now = self.run.now_to_change()
        self.unconfigured.configured(ProviderModelKey(provider_name, model_id))
        register = partial(self.controller.register, aliases=aliases, domain_caps=domain_caps, domains=domains)
        self._deliver(self.run.decide(register, provider_name, model_id, cap, now), now)

    def register_unconfigured(self, key: ProviderModelKey, cap: int) -> None:
        """Make a model known that is not configured, if it is not; idle ones of them may be forgotten for it."""
        if self.unconfigured.take_on(key):
            now = self.now()
            self._deliver(self.run.decide(self.controller.register, key.provider_name, key.model_id, cap, now), now)

    @trio.lowlevel.enable_ki_protection
    def carry_out(self, plan: RequestGatePlan) -> None:
        """Change the gate as planned; as `RequestAdmissionController.carry_out`."""
        now = self.run.now_to_change()
        self._settle(now, self.controller.carry_out, plan)

    @trio.lowlevel.enable_ki_protection
    def signal(self, name: str) -> None:
        """End the refusals that wait for the signal `name`."""
        now = self.run.now_to_change()
        self._settle(now, self.controller.signal, name)

    # -- inside --

    def _abort(self, waiters: Iterable[RequestWaiter], _: object) -> trio.lowlevel.Abort:
        """Called by trio while it cancels: an exception here would hang the run, so the timer task gets it."""
        for waiter in waiters:
            self.waits.unpark(waiter)
            self._cancel(waiter)
        return trio.lowlevel.Abort.SUCCEEDED

    def _cancel(self, waiter: RequestWaiter) -> None:
        """Take a waiter out of the queue; the timer task offers again what it leaves."""
        if self._failure.cause is None:
            try:
                self.controller.cancel(waiter, trio.current_time())
            except BaseException as error:
                self._failure.cause = error
        self._timer.move(-inf)

    def _settle(
        self, now: float, change: Callable[..., RequestAdmissionEffects], *arguments: object
    ) -> RequestAdmissionEffects | None:
        """Carry a change of state out and deliver it; `None` if the gate failed in it."""
        try:
            effects = self.run.decide(change, *arguments, now)
        except BaseException as error:
            self._fail(error)
            return None
        self._deliver(effects, now)
        return effects

    def _deliver(self, effects: RequestAdmissionEffects, now: float) -> None:
        for waiter in effects.granted:
            self._unpark(waiter)
        for waiter in effects.refused:
            self._unpark(waiter)
        self._report_freed(effects, now)
        self._after(now)
        if self.turns.due:
            self.turns.call_back()

    def _report_freed(self, effects: RequestAdmissionEffects, now: float) -> None:
        freed: Collection[ProviderKey] = effects.freed_providers
        if self._on_freed_provider is not None:
            for provider in freed if len(freed) == 1 else dict.fromkeys(freed):
                self._on_freed_provider(provider, now)

    def _unpark(self, waiter: RequestWaiter) -> None:
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

    def _after(self, now: float) -> None:
        """Set the timer for what is due next, and deliver the events of what has happened."""
        try:
            moment = self.controller.next_change(now)
        except BaseException as error:
            self._fail(error)
            return
        if moment is not None:
            self._timer.move(moment if moment > now else -inf)  # -inf: what is due stays so, however often it is found
        elif self._timer.at != inf:
            self._timer.move(inf)
        if self._events.active:
            self._events.deliver()

    def _turn(self) -> bool:
        """Whether the timer goes on. Its moment has come, or a waiter was cancelled, or the block is left."""
        if self._failure.cause is not None:
            self._fail(self._failure.cause)
        elif not self._left:
            self._timer.at = inf
            now = trio.current_time()
            self._settle(now, self.controller.advance)
        return not self._left and not self._failure.reported

    def _fail(self, error: BaseException) -> None:
        """The waiter queue cannot be trusted any more: no waiter gets a lease, and each gets the error instead."""
        now = trio.current_time()
        effects = RequestAdmissionEffects()
        if self._failure.note(error):
            effects = self.controller.abandon(now)
        for waiter in (*self.waits.parked, *self.turns.waiting):
            self._unpark(waiter)
        self._report_freed(effects, now)
        self._events.deliver()
        self.turns.call_back()
