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

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self

import trio

from penstock.events.records import EventStream
from penstock.executor.gate_steps import GateSteps
from penstock.requests.admission import RequestAdmissionController
from penstock.requests.hints import Hints
from penstock.requests.items import RequestAdmissionDenied, RequestAdmissionItem, RequestAdmissionLease
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.reconfiguring import RequestGatePlan
from penstock.requests.waiters import RequestWaiter
from penstock.words.checks import shown
from penstock.words.errors import ConfigError, StallError
from penstock.words.identity import ProviderKey, ProviderModelKey
from penstock.words.plugin_failures import OnPluginFailure, unheard

__all__ = ["RequestGate"]


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
        self.steps = steps = GateSteps(controller, events, default_cap, on_failure)
        """What needs no waiting; whoever calls it is protected against Ctrl+C."""
        self.controller = controller
        """What decides; whatever changes it must go through here."""
        self.unconfigured = steps.unconfigured
        self.waits = steps.waits
        self.run = steps.run
        self.now = steps.now

    @property
    def on_freed_provider(self) -> Callable[[ProviderKey, float], None] | None:
        """A callback, with the moment, for each provider at which calls may meet less pressure than before: a call came
        back, a waiter left the queue, a cap or a limiter changed; not when time alone ends a cooldown. The change is
        complete by then. It must not call the gate. Raises `ConfigError` for what cannot be called.
        """
        return self.steps.on_freed_provider

    @on_freed_provider.setter
    def on_freed_provider(self, callback: Callable[[ProviderKey, float], None] | None) -> None:
        if callback is not None and not callable(callback):
            raise ConfigError(f"on_freed_provider must be a function of a provider and a moment, not {shown(callback)}")
        self.steps.on_freed_provider = callback

    # -- the block --

    async def __aenter__(self) -> Self:
        self.run.enter()
        self.waits.blocks.watch(trio.lowlevel.spawn_system_task(self.steps.timer.run, name="penstock request timer"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self.steps.left = True
        self.waits.blocks.unwatch()
        self.steps.timer.stop()
        if error is None and self.steps.failure.cause is not None:
            raise self.steps.failure.error() from self.steps.failure.cause

    @trio.lowlevel.enable_ki_protection
    def close(self) -> None:
        """The end of admission: who waits or asks is refused with `shutdown`. Calls that are out go on and release
        as ever.
        """
        now = self.run.now_to_change()
        self.steps.settle(now, self.controller.close)

    def may_know(self, key: ProviderModelKey) -> bool:
        """Whether calls to a provider + model are not refused for being unknown."""
        return self.steps.default_cap is not None or self.controller.knows(key)

    # -- leases --

    @trio.lowlevel.enable_ki_protection
    def try_acquire(self, item: RequestAdmissionItem) -> RequestAdmissionLease | RequestAdmissionDenied:
        """A lease now, or why not."""
        now = self.run.now_to_change()
        answer = self.steps.try_acquire(item, now)
        self.steps.after(now)
        return answer

    @trio.lowlevel.enable_ki_protection
    async def acquire(self, item: RequestAdmissionItem) -> RequestAdmissionLease:
        """A lease, as soon as it is this call's turn. Raises `RequestAdmissionError`, or trio's `Cancelled`.

        Checks for cancellation always, and lets other tasks run only if it has to wait.
        """
        now = self.run.now_to_change()  # first, since it says what is wrong in another thread
        await trio.lowlevel.checkpoint_if_cancelled()
        waiter = self.steps.enqueue(item, now)
        self.steps.after(now)  # may give the waiter its lease, where a receiver of events releases another
        if waiter.lease is None and waiter.refused is None:
            # Until the waiter is settled, or the gate has failed. Cancelling takes the waiter out of the queue.
            self.waits.park(waiter)
            await trio.lowlevel.wait_task_rescheduled(partial(self.steps.abort, (waiter,)))
        return self.steps.lease_of(waiter, now)

    @trio.lowlevel.enable_ki_protection
    async def acquire_first(self, items: Sequence[RequestAdmissionItem]) -> RequestAdmissionLease:
        """A lease for one of these items, the first that can have one, in this order where several can: the call waits
        in all lines from now on, and leaves the others in the moment in which its turn comes in one. Raises as
        `acquire`, once it is refused in every line.
        """
        now = self.run.now_to_change()
        await trio.lowlevel.checkpoint_if_cancelled()
        chosen, waiting = self.steps.enter(items, now)
        if waiting:
            self.waits.park_in_lines(waiting)
            await trio.lowlevel.wait_task_rescheduled(partial(self.steps.abort, waiting))
            chosen = next((waiter for waiter in waiting if waiter.lease is not None), chosen)
        return self.steps.lease_of(chosen, now)

    @trio.lowlevel.enable_ki_protection
    def release(self, lease: RequestAdmissionLease, outcome: RequestReleaseOutcome) -> bool:
        """Whether the lease was out; it is given back. Never raises for a lease that is not out."""
        now = self.run.now_to_change()
        effects = self.steps.give_back(lease, outcome, now)
        return effects is None or effects.release is None or effects.release.released

    @trio.lowlevel.enable_ki_protection
    def observe(self, lease: RequestAdmissionLease, hints: Hints) -> None:
        """An answer's hints for the limiters of its lease, before that is released."""
        now = self.run.now_to_change()
        self.steps.settle(now, self.controller.observe, lease, hints)

    def stall(self, waiter: RequestWaiter, error: StallError) -> None:
        """End the wait of a parked waiter with this error."""
        now = self.now()
        self.waits.stalled[waiter] = error
        self.controller.cancel(waiter, now)
        self.steps.unpark(waiter)
        self.steps.after(now)

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
        self.steps.deliver(self.run.decide(register, provider_name, model_id, cap, now), now)

    @trio.lowlevel.enable_ki_protection
    def carry_out(self, plan: RequestGatePlan) -> None:
        """Change the gate as planned; as `RequestAdmissionController.carry_out`."""
        now = self.run.now_to_change()
        self.steps.settle(now, self.controller.carry_out, plan)

    @trio.lowlevel.enable_ki_protection
    def signal(self, name: str) -> None:
        """End the refusals that wait for the signal `name`."""
        now = self.run.now_to_change()
        self.steps.settle(now, self.controller.signal, name)
