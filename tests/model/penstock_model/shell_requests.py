"""The request executor, with its timer and its parked tasks, in virtual time: random calls, cancelled anywhere."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from penstock import (
    Denied,
    EventStream,
    ModelRequestExecutor,
    RequestAdmissionController,
    RequestAdmissionError,
    RequestAdmissionItem,
    RequestCost,
    RequestGroupKey,
    RequestGroupSpec,
    RequestPressureSnapshotProvider,
    RequestWaiter,
    ResponseFacts,
)
from penstock.testing import ScriptedLimiter
from penstock_model.naive_requests import LIMITED, MODELS, RESOURCES, Limit, NaiveRequestGate
from penstock_model.request_run import WAITERS, RequestScenario, SeenPressure
from penstock_model.request_seeds import RequestHolds, requests_and_steps
from penstock_model.task_run import Mismatch, Step

__all__ = ["run_of_requests"]


@attrs.define(eq=False)
class _Call:
    waiter: RequestWaiter
    scope: trio.CancelScope
    state: str = "waiting"
    result: str | None = None


class _Run:
    def __init__(self, scenario: RequestScenario, seed: int) -> None:
        self.scenario = scenario
        self.naive = NaiveRequestGate(scenario.rules)
        self.rng = Random(f"shell/{seed}")
        self.calls: list[_Call] = []
        controller = RequestAdmissionController(
            EventStream("request"),
            make_limiters=self.make_limiters,
            waiters=WAITERS[scenario.waiters](),
            rule=self.rule if scenario.rules else None,
        )
        self.executor = ModelRequestExecutor(controller, EventStream("request"), rng=Random(1))

    def make_limiters(self, scope: Any, cap: int | None) -> list[tuple[str, ScriptedLimiter]]:
        limit = self.naive.limits.setdefault(scope, Limit())
        limit.limiter = ScriptedLimiter(scope, cohort=self.scenario.cohorts)
        limit.set(None, None)
        return [("scripted", limit.limiter)]

    def rule(self, item: RequestAdmissionItem, pressure: RequestPressureSnapshotProvider, now: float) -> Denied | None:
        self.naive.now = now
        seen = SeenPressure(self.naive, pressure)
        return next((d for rule in self.scenario.rules if (d := rule.answer(item, seen)) is not None), None)

    def register(self, model: int, cap: int, chat: int) -> None:
        key = MODELS[model]
        self.naive.caps[key], self.naive.domain_caps[key] = cap, {"chat": chat}
        self.executor.register(key.provider_name, key.model_id, cap=cap, domain_caps={"chat": chat})

    async def call(self, call: _Call) -> None:
        """Wait for a lease, be out for a while, and come back well or badly."""
        item = call.waiter.item
        seconds, status = self.rng.choice((0.0, 0.5, 2.0)), self.rng.choice((200, 200, 429, 500))
        with call.scope:
            try:
                async with self.executor.attempt(
                    item.resource,
                    cost=item.cost,
                    group=item.group,
                    timeout=item.queue_wait_timeout,
                    deadline=item.deadline,
                ) as attempt:
                    call.state = "out"
                    out = attempt.lease, self.naive.generation
                    self.naive.out.append(out)
                    try:
                        await trio.sleep(seconds)
                    finally:
                        self.naive.out.remove(out)
                        call.state = "ended"
                    attempt.answered(ResponseFacts(status=status))
                call.result = "done"
            except RequestAdmissionError as error:
                call.result = error.reason
        call.state = "ended"
        call.result = call.result or "cancelled"

    def take(self, step: Step, nursery: trio.Nursery) -> None:
        naive, now = self.naive, trio.current_time()
        match step:
            case ("ask", resource, group, requests, timeout, deadline):
                spec = RequestGroupSpec(group, self.scenario.groups[group], self.scenario.group_limits.get(group))
                moment = None if deadline is None else now + deadline
                item = RequestAdmissionItem(RESOURCES[resource], spec, RequestCost(requests), timeout, moment)
                ends = [end for end in (moment, None if timeout is None else now + timeout) if end is not None]
                call = _Call(RequestWaiter(item, now, len(self.calls), min(ends, default=None)), trio.CancelScope())
                self.calls.append(call)
                nursery.start_soon(self.call, call)
            case ("cancel", n) if self.calls:
                self.calls[n % len(self.calls)].scope.cancel()
            case ("register", model, cap, chat):
                self.register(model, cap, chat)
            case ("tighten", scope, places, seconds):
                limit = naive.limits[LIMITED[scope]]
                limit.set(min(places, limit.places), max(limit.blocked_until, now + seconds))
            case ("loosen", scope, places):
                limit = naive.limits[LIMITED[scope]]
                limit.set(max(places, limit.places), None)
                if isinstance(LIMITED[scope], RequestGroupKey):  # told as in `RequestRun`
                    naive.generation += 1
                    self.executor.reconfigure(self.make_limiters, rule=self.rule if self.scenario.rules else None)
                    return
                for n, key in enumerate(MODELS):
                    self.register(n, naive.caps[key], naive.domain_caps[key]["chat"])
            case ("shut", name):
                naive.shut.add(name)
            case ("open", name):
                naive.shut.discard(name)
                self.executor.signal(name)
            case ("put off", name, seconds):
                naive.moments[name] = max(naive.moments.get(name, 0.0), now + seconds)
            case ("doom", name):
                naive.doomed.add(name)

    async def rest(self) -> None:
        """When nothing moves any more, nobody sleeps who could go, and nobody's time is over."""
        await wait_all_tasks_blocked()
        naive = self.naive
        naive.now = trio.current_time()
        naive.line = [call.waiter for call in self.calls if call.state == "waiting"]
        for waiter in naive.line:
            if waiter.gives_up_at is not None and waiter.gives_up_at < naive.now:
                raise Mismatch(f"at {naive.now}: a call waits that gave up at {waiter.gives_up_at}")
            if naive.could_go(waiter.item) and not naive.room_may_be_kept(waiter, agreed=False):
                raise Mismatch(f"at {naive.now}: a call for {waiter.item.resource} could go, and sleeps")


async def run_of_requests(seed: int, holds: RequestHolds) -> Counter[str]:
    """How the calls of this seed's run ended. Raises `Mismatch`."""
    scenario, steps = requests_and_steps(seed, holds)
    run = _Run(scenario, seed)
    async with run.executor, trio.open_nursery() as nursery:
        for model, cap in scenario.caps.items():
            run.register(MODELS.index(model), cap, cap)
        for step in steps:
            match step:
                case ("time", seconds):
                    await trio.sleep(seconds)
                case ("advance",):
                    await run.rest()
                case _:
                    run.take(step, nursery)
        for name in sorted(run.naive.shut):
            run.take(("open", name), nursery)
        for scope in range(len(LIMITED)):
            run.take(("loosen", scope, 100), nursery)
        await trio.sleep(200.0)
        await run.rest()
        run.executor.close()
    issued, returned = run.executor.leases
    if issued != returned:
        raise Mismatch(f"{issued - returned} leases are out at the end")
    ends = Counter(str(call.result) for call in run.calls)
    if ends["None"] or sum(ends.values()) != len(run.calls):
        raise Mismatch(f"not every call ended: {ends}")
    return ends
