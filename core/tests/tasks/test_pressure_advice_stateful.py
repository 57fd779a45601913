"""Both gates with advice between them, driven at random: nobody who could go sleeps, and all work comes to its end.

The request gate is the real controller with scripted limiters; tasks call, wait, are refused, end without a call;
others who are no tasks call as well; limits, caps and cooldowns change.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock import (
    Condition,
    FifoTaskQueue,
    RequestAdmissionEffects,
    RequestAdmissionLease,
    RequestReleaseOutcome,
    RequestResourceKey,
    RequestResourceResolver,
    RequestWaiter,
    SchedulingMetadata,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskAdmissionLease,
    TaskGroupSpec,
    TaskSchedulingResolver,
)
from penstock.queueing.lanes import ALL
from penstock.tasks.pressure_advice import ADVICE, SETTLING, RequestPressureAdvice
from penstock.testing import RequestBench, TaskBench, make_task

P, Q = RequestResourceKey("p", "m", "chat"), RequestResourceKey("q", "m", "chat")
MODELS = (P, Q)


def model_group(resource: RequestResourceKey, flow: str) -> TaskGroupSpec:
    metadata = SchedulingMetadata.model(resource.provider_name, resource.model_id)
    return TaskSchedulingResolver().resolve(metadata, flow=(flow,)).group


GROUPS: dict[TaskGroupSpec, tuple[RequestResourceKey, ...]] = {
    model_group(P, "one"): (P,),
    model_group(P, "two"): (P,),
    model_group(Q, "one"): (Q,),
    TaskGroupSpec.named("both", calls=(P, Q)): (P, Q),
    TaskGroupSpec.named("either", calls=(P, Q), alike=True): (P, Q),
    TaskGroupSpec.named("none"): (),
}
OUTCOMES = ("success", "success", "rate_limited", "provider_failure")


class BothGates(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.bench = RequestBench({P: 3, Q: 2}, listen=False)
        self.requests = self.bench.controller
        for limiter in self.bench.limiters.values():
            limiter.places = 3
        self.advice = RequestPressureAdvice(self.requests.standings, RequestResourceResolver(), wake=self.wake)
        config = TaskAdmissionConfig(6)
        self.tasks = TaskAdmissionController(config, [(ADVICE, self.advice)])
        self.gate = TaskBench(FifoTaskQueue(), self.tasks)
        self.numbered = 0
        self.idle: list[TaskAdmissionLease] = []
        """Tasks at work that have no call out and wait for none."""
        self.calling: dict[RequestWaiter, TaskAdmissionLease | None] = {}
        """Calls, and the task that made them; `None`: somebody else did."""

    # -- what a shell does --

    def wake(self, condition: Condition, now: float) -> None:
        self.gate.queue.wake(condition, ALL, now)

    def settle(self, effects: RequestAdmissionEffects | None = None) -> None:
        """Deliver what the request gate freed, and start what may start."""
        for provider in dict.fromkeys(effects.freed_providers if effects is not None else ()):
            for condition in self.advice.freed(provider, self.now):
                self.wake(condition, self.now)
        before = len(self.gate.out)
        self.gate.start_all()
        self.idle += self.gate.out[before:]

    def call(self, resource: RequestResourceKey, task: TaskAdmissionLease | None) -> None:
        waiter = self.requests.enqueue(self.bench.item(resource), self.now)
        assert waiter.refused is None
        self.calling[waiter] = task
        if task is not None:
            self.idle.remove(task)
        self.settle()

    def come_back(self, waiter: RequestWaiter, kind: Any) -> None:
        assert waiter.lease is not None
        task = self.calling.pop(waiter)
        if kind == "rate_limited":
            self.bench.limiters[waiter.lease.item.resource].blocked_until = self.now + 5
        effects = self.requests.release(waiter.lease, RequestReleaseOutcome(kind=kind), self.now)
        if task is not None:
            self.idle.append(task)
        self.settle(effects)

    def end(self, task: TaskAdmissionLease) -> None:
        self.idle.remove(task)
        self.gate.release(task)
        self.settle()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.gate.now = self.now
        effects = self.requests.advance(self.now)
        self.settle(effects)

    # -- what happens --

    @rule(group=st.sampled_from(list(GROUPS)), count=st.integers(1, 8))
    def submit(self, group: TaskGroupSpec, count: int) -> None:
        self.numbered += count
        self.gate.enqueue(make_task(f"t{self.numbered - n}", group) for n in range(count))
        self.settle()

    @precondition(lambda self: any(GROUPS[lease.item.group] for lease in self.idle))
    @rule(data=st.data())
    def a_task_calls(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from([lease for lease in self.idle if GROUPS[lease.item.group]]))
        self.call(data.draw(st.sampled_from(GROUPS[task.item.group])), task)

    @rule(resource=st.sampled_from(MODELS))
    def somebody_else_calls(self, resource: RequestResourceKey) -> None:
        self.call(resource, None)

    @precondition(lambda self: any(waiter.lease for waiter in self.calling))
    @rule(data=st.data(), kind=st.sampled_from(OUTCOMES))
    def a_call_comes_back(self, data: st.DataObject, kind: str) -> None:
        self.come_back(data.draw(st.sampled_from([waiter for waiter in self.calling if waiter.lease])), kind)

    @precondition(lambda self: any(waiter.lease is None for waiter in self.calling))
    @rule(data=st.data())
    def a_caller_gives_up(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from([waiter for waiter in self.calling if waiter.lease is None]))
        task = self.calling.pop(waiter)
        assert self.requests.cancel(waiter, self.now)
        effects = self.requests.advance(self.now)
        if task is not None:
            self.idle.append(task)
        self.settle(effects)

    @precondition(lambda self: bool(self.idle))
    @rule(data=st.data())
    def a_task_ends(self, data: st.DataObject) -> None:
        self.end(data.draw(st.sampled_from(self.idle)))

    @precondition(lambda self: bool(self.gate.queued))
    @rule(data=st.data())
    def a_task_is_called_off(self, data: st.DataObject) -> None:
        self.gate.discard(data.draw(st.sampled_from(list(self.gate.queued))))
        self.settle()

    @rule(seconds=st.sampled_from((0.05, 1.0, 6.0)))
    def time_passes(self, seconds: float) -> None:
        self.pass_time(seconds)

    @rule(resource=st.sampled_from(MODELS), cap=st.integers(1, 4), places=st.integers(1, 4))
    def a_cap_and_a_limit_change(self, resource: RequestResourceKey, cap: int, places: int) -> None:
        self.bench.limiters[resource].places = places
        effects = self.requests.register(resource.provider_name, resource.model_id, cap, self.now)
        self.settle(effects)

    @rule()
    def limiters_are_made_anew(self) -> None:
        effects = self.requests.reconfigure(self.bench.make_limiters, self.now)
        self.settle(effects)

    # -- what must hold --

    @invariant()
    def the_books_agree(self) -> None:
        self.advice.check_invariants()
        self.tasks.check_invariants()
        self.requests.check_invariants()

    @invariant()
    def nobody_who_could_go_sleeps(self) -> None:
        view = self.gate.queue.view()
        blocked = [(block.group, block.denied.next_moment()) for block in self.gate.queue.blocked()]
        asked_at_once = {group for group, moment in blocked if moment is not None and moment <= self.now + SETTLING}
        for task in self.gate.queued.values():
            if task.group.key not in asked_at_once:
                assert self.tasks.is_eligible(task, view, self.now) is not None, f"{task.task_id} of {task.group.key}"

    def teardown(self) -> None:
        """Whatever has happened: let calls come back and tasks end, and everything gets its turn."""
        for _ in range(10_000):
            out = [waiter for waiter in self.calling if waiter.lease is not None]
            ready = [lease for lease in self.idle if GROUPS[lease.item.group]]
            if out:
                self.come_back(out[0], "success")
            elif self.idle:
                if ready and self.numbered % 2:
                    self.call(GROUPS[ready[0].item.group][0], ready[0])
                    self.numbered += 1
                else:
                    self.end(self.idle[0])
                    self.numbered += 1
            elif self.calling or self.gate.queued:
                self.pass_time(6.0)
            else:
                break
        assert not self.gate.queued, "work was left, and nothing was ever going to wake it"
        self.the_books_agree()
        leases: list[RequestAdmissionLease | None] = [waiter.lease for waiter in self.calling]
        assert not leases


TestBothGates = BothGates.TestCase
TestBothGates.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
