"""May this ready task become a running worker? The controller of the task gate, and the ledger of what runs.

The controller asks, in this order: is it open, could the task ever fit, is there room now, do all policies
agree, do all rules agree. The first refusal counts. It answers `is_eligible` without changing anything, and
`try_acquire` by the same answer with the lease in the same step. A gate that knows who fits asks `agrees`, which
leaves room out. What a lease counts for is counted here, once in and once out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress
from types import CoroutineType
from typing import Any, Final, Protocol

from penstock.queueing.lanes import ALL
from penstock.queueing.places import Room
from penstock.tasks.contenders import TaskContenders
from penstock.tasks.decision import PolicyStateDelta, TaskAdmissionPolicyDecision, debts_after
from penstock.tasks.holding import Holding
from penstock.tasks.lease import (
    PREFIX,
    LeaseWatcher,
    TaskAdmissionBlockSummary,
    TaskAdmissionDenied,
    TaskAdmissionLease,
    block_summary,
)
from penstock.tasks.ledger import LedgerView
from penstock.tasks.limits import TaskAdmissionConfig, never_fits, no_room, replace_limits
from penstock.tasks.most_leased import MostLeased
from penstock.tasks.policy import TaskAdmissionPolicy, TaskAdmissionView
from penstock.tasks.ready_queue import Blocked, QueueView
from penstock.tasks.records import SUBMISSION, SchedulableTask, SchedulerResourceKey, TaskGroupKey
from penstock.words.leases import RELEASED, LeaseLedger, ReleaseResult
from penstock.words.plugin_failures import OnPluginFailure, fails_closed, refuse_coroutine, unheard
from penstock.words.verdicts import NEVER, TASK_REASONS, Condition, Denied, Released, check_denied

__all__ = ["TaskAdmissionConfig", "TaskAdmissionController"]

IDLE_KEPT: Final = 64
"""So many groups may keep their books open before it is seen which hold nothing and have nothing queued."""

Shape = tuple[tuple[str, int], ...]


class Waiting(Protocol):
    """Who waits for what leases give back."""

    @property
    def calm(self) -> bool:
        """Whether it is known that nobody does: then nobody is told."""
        ...

    def came_free(self, group: TaskGroupKey, shape: Shape, now: float, /) -> None:
        """A lease of this group has come back, with what is in this shape."""
        ...


class _Nobody:
    calm = True

    def came_free(self, group: TaskGroupKey, shape: Shape, now: float, /) -> None: ...


TaskRule = Callable[[SchedulableTask, QueueView, TaskAdmissionView, float], Denied | None]
"""All rule hooks of the task gate in one call; it checks and names its answers itself."""


class TaskAdmissionController:
    """The first gate. Pure and synchronous; `now` is passed in."""

    def __init__(
        self,
        config: TaskAdmissionConfig | None = None,
        policies: Sequence[tuple[str, TaskAdmissionPolicy]] = (),
        rule: TaskRule | None = None,
        generation: int = 1,
        on_failure: OnPluginFailure = unheard,
    ) -> None:
        self._on_failure = on_failure
        config = config or TaskAdmissionConfig()
        self._limits = {SUBMISSION: config.submission_capacity, **config.resource_limits}
        self._available = dict(self._limits)
        replace_limits(self._limits, self._available, dict(self._limits))
        self._most_leased = MostLeased(self._limits, self._available)
        self._fewest_free = self._available[SUBMISSION]
        """Places in `submission` that were free when the fewest were, under these limits."""
        self._released = {resource: Released(resource) for resource in self._limits}
        self._full: dict[tuple[str, int, bool], Denied] = {}
        self._holdings: dict[TaskGroupKey, Holding] = {}
        self._holdings_kept = IDLE_KEPT
        """When there are so many, those are closed that hold nothing and have nothing queued."""
        self._debt: dict[tuple[TaskGroupKey, str], int] = {}
        self._set_policies(policies)
        self._rule = rule
        self._ledger: LeaseLedger[TaskAdmissionLease] = LeaseLedger(PREFIX, generation)
        self._contenders = TaskContenders(self._holdings, self._debt)
        self.room = Room(self._limits, self._available, SUBMISSION)
        """What is free, and what of it is reserved: for a queue that asks nobody who does not fit."""
        self._queue_view: QueueView | None = None
        self._waiting: Waiting = _Nobody()
        self._closed = False
        self._agreed_on: tuple[object, ...] | None = None
        """The task that could be given its lease, when, and how many leases had been given and had come back then."""
        self._agreed: tuple[TaskAdmissionPolicyDecision, ...] = ()
        """What the policies with a memory said of the task that was agreed to last."""
        self.on_refused: Callable[[SchedulableTask, Denied, float], Denied] | None = None
        """Called with each refusal by policies and rules; returns the one that holds."""
        self.diagnostic_counters: dict[str, int] = {}
        """What the policies count, by the names that they give."""
        self._view = LedgerView(
            self._limits, self._available, self._holdings, self._debt, self._contenders, self.room.reserved
        )

    def attach(self, queue_view: QueueView, waiting: Waiting | None = None) -> None:
        """Know the groups of this queue, so that policies can ask for their peers. Those who are `waiting` there are
        told of each lease that comes back, unless they are calm."""
        self._contenders.attach(queue_view)
        self._queue_view = queue_view
        self._waiting = waiting or _Nobody()

    def reconfigure(self, policies: Sequence[tuple[str, TaskAdmissionPolicy]], rule: TaskRule | None) -> None:
        """From now on these decide. Leases that are out stay as they are."""
        self._set_policies(policies)
        self._rule = rule
        self._agreed_on = None

    def set_limits(self, limits: Mapping[SchedulerResourceKey, int]) -> None:
        """From now on there is so much of each resource; whoever waits is to be asked again. As `replace_limits`."""
        replace_limits(self._limits, self._available, limits)
        self._most_leased.begin_anew(self._fewest_free)
        self._fewest_free = self._available[SUBMISSION]
        self._released = {resource: Released(resource) for resource in limits}
        self._full.clear()
        self._agreed_on = None

    def set_admitted_limit(self, group: TaskGroupKey, limit: int | None) -> None:
        """So many of a group may run from now on before its peers come first."""
        if (holding := self._holdings.get(group)) is not None:
            holding.spec, holding.limit = None, limit
            self._see_cap(group, holding)

    def _set_policies(self, policies: Sequence[tuple[str, TaskAdmissionPolicy]]) -> None:
        self._policies = list(policies)
        watches = [not getattr(policy, "stateless", False) for _, policy in policies]
        self._watching = tuple(compress(policies, watches))
        self._evaluate = [(name, p.evaluate, watching) for (name, p), watching in zip(policies, watches, strict=True)]

    # -- deciding

    def never_fits(
        self, task: SchedulableTask, limits: Mapping[SchedulerResourceKey, int] | None = None
    ) -> Denied | None:
        """The refusal of a task that no release could make room for, now or with these `limits`: too much, or of what
        is not there.
        """
        return never_fits(task.resource_request, self._limits if limits is None else limits)

    def is_eligible(self, task: SchedulableTask, queue_view: QueueView, now: float) -> Denied | None:
        """Whether the task could be given its lease now, as it stands with this queue."""
        if self._closed:
            return Denied("shutdown", {NEVER}, scope="all", by="core")
        available = self._available
        for resource, amount in task.resource_request.shape:
            free = available.get(resource)
            if free is None or free < amount:
                return self._no_room(task, resource, amount)
        self._queue_view = queue_view
        denied = self.agrees(task, now)
        if denied is None:
            self._agreed_on = task, now, *self.leases
        return denied

    def agrees(self, task: SchedulableTask, now: float) -> Denied | None:
        """Whether policies and rules would let a task run for which there is room."""
        queue: Any = self._queue_view
        view = self._view
        denied: Denied | None
        decision: TaskAdmissionPolicyDecision | None = None
        agreed: tuple[TaskAdmissionPolicyDecision, ...] = ()
        for name, evaluate, watches in self._evaluate:
            try:
                decision = evaluate(task, queue, view, now)
                if decision.denied is not None:
                    denied = check_denied(decision.denied, by=name, now=now, reasons=TASK_REASONS)
                    break
            except BaseException as error:
                denied = self._failed_closed(name, "evaluate", error, now, evaluate, decision)
                break
            if watches:
                agreed = *agreed, decision
        else:
            denied = None if self._rule is None else self._rule(task, queue, view, now)
            if denied is None:
                self._agreed = agreed
                return None
        return denied if self.on_refused is None else self.on_refused(task, denied, now)

    def _no_room(self, task: SchedulableTask, resource: str, amount: int) -> Denied:
        """The refusal for want of room; the same object for the same want, since a full queue asks often."""
        if (never := self.never_fits(task)) is not None:
            return never
        shut = resource == SUBMISSION and not self._available[resource]
        denied = self._full.get((resource, amount, shut))
        if denied is None:
            denied = no_room(resource, amount, self._available)
            self._full[resource, amount, shut] = denied
        return denied

    def _failed_closed(
        self, name: str, method: str, error: BaseException, now: float, asked: object, answer: object = None
    ) -> Denied:
        """A policy that raises refuses, until the plugins are reconfigured; the loop ends that wait in time."""
        if isinstance(answer, CoroutineType):
            answer.close()
        self._on_failure(name, f"penstock_task_policy.{method}", error, asked)
        return fails_closed(name, "policy_denial", error, now, asked)

    def why_not(self, task: SchedulableTask, queue_view: QueueView, now: float) -> list[Denied]:
        """Every refusal that the task would meet now; for `explain`, which alone asks all."""
        found = [self._no_room(task, r, a) for r, a in task.resource_request.shape if self._available.get(r, 0) < a]
        for name, policy in self._policies:
            try:
                decision = policy.evaluate(task, queue_view, self._view, now)
                if decision.denied is not None:
                    found.append(check_denied(decision.denied, by=name, now=now, reasons=TASK_REASONS))
            except BaseException as error:
                found.append(self._failed_closed(name, "evaluate", error, now, policy.evaluate))
        if self._rule is not None and (denied := self._rule(task, queue_view, self._view, now)) is not None:
            found.append(denied)
        return found

    # -- leases

    def try_acquire(
        self, task: SchedulableTask, queue_view: QueueView, now: float
    ) -> TaskAdmissionLease | TaskAdmissionDenied:
        """The lease, counted before it is handed out; or why not."""
        if self._agreed_on != (task, now, *self.leases):
            denied = self.is_eligible(task, queue_view, now)
            if denied is not None:
                return TaskAdmissionDenied(task, denied)
        return self.grant(task, now)

    def grant(self, task: SchedulableTask, now: float) -> TaskAdmissionLease:
        """The lease of the task that was agreed to last, counted before it is handed out."""
        ledger = self._ledger
        group = task.group
        holding = self._holdings.get(group.key)
        if holding is None:
            if len(self._holdings) >= self._holdings_kept:
                self._forget_idle()
            holding = self._holdings[group.key] = Holding()
        ledger.issued = number = ledger.issued + 1
        lease = TaskAdmissionLease(number, task, now, ledger.generation, self._watching)
        ledger.out[lease] = None
        holding.running = running = holding.running + 1
        available = self._available
        available[SUBMISSION] = free = available[SUBMISSION] - 1
        if free < self._fewest_free:
            self._fewest_free = free
        for resource, amount in task.resource_request.beyond:
            available[resource] = free = available[resource] - amount
            if free < self._most_leased.least_free[resource]:
                self._most_leased.least_free[resource] = free
            holding.take(resource, amount)
        if holding.spec is not group:
            holding.spec, holding.weight, holding.limit = group, group.weight, group.admitted_limit
            self._see_cap(group.key, holding)
        elif running == holding.limit:
            self._see_cap(group.key, holding)
        if self._watching:
            for (name, policy), decision in zip(lease.watchers, self._agreed, strict=True):
                self._notify(name, policy, "on_acquire", lease, decision, now)
        return lease

    def _see_cap(self, group: TaskGroupKey, holding: Holding) -> None:
        """A group that reaches its limit is no contender any more."""
        capped = holding.limit is not None and holding.running >= holding.limit
        if capped != holding.capped:
            holding.capped = capped
            self._contenders.cap(group, capped)

    def release(self, lease: TaskAdmissionLease, now: float) -> ReleaseResult:
        """Take a lease back: once. The result's `freed` says what came free, and how much of it. Never raises."""
        result = self.take_back(lease, now)
        if not result.released:
            return result
        task = lease.item
        return ReleaseResult(True, RELEASED, freed=self.freed(task.group.key, task.resource_request.shape))

    def take_back(self, lease: TaskAdmissionLease, now: float) -> ReleaseResult:
        """As `release`, where nobody asks what came free."""
        result = self._ledger.close(lease)
        if not result.released:
            return result
        task = lease.item
        holding = self._holdings[task.group.key]
        holding.running -= 1
        available = self._available
        available[SUBMISSION] += 1
        for resource, amount in task.resource_request.beyond:
            available[resource] += amount
            holding.take(resource, -amount)
        if holding.capped:
            self._see_cap(task.group.key, holding)
        for name, policy in lease.watchers:
            self._notify(name, policy, "on_release", lease, now)
        if not self._waiting.calm:
            self._waiting.came_free(task.group.key, task.resource_request.shape, now)
        return result

    def freed(self, group: TaskGroupKey, shape: Shape) -> tuple[tuple[Condition, int], ...]:
        """What comes true when this group gives such a shape back, and how much is free of each now."""
        return (Released(group), ALL), *[(self._released[resource], self._available[resource]) for resource, _ in shape]

    def _notify(self, name: str, policy: LeaseWatcher, method: str, *given: Any) -> None:
        try:
            self._apply(name, getattr(policy, method)(*given))
        except BaseException as error:
            self._failed_closed(name, method, error, given[-1], getattr(policy, method, None))

    def _forget_idle(self) -> None:
        """Close the books of groups that hold nothing and have nothing queued."""
        queued = {} if self._queue_view is None else self._queue_view.queued_by_group
        for key in [key for key, holding in self._holdings.items() if not holding.running and key not in queued]:
            del self._holdings[key]
        self._holdings_kept = IDLE_KEPT + 2 * len(self._holdings)

    def _apply(self, name: str, delta: PolicyStateDelta | None) -> None:
        if delta is None:
            return
        refuse_coroutine(delta)
        for key, debt in debts_after(delta, self._debt, name).items():
            if debt:
                self._debt[key] = debt
            else:
                self._debt.pop(key, None)
        for counter, count in delta.diagnostic_counters.items():
            self.diagnostic_counters[counter] = self.diagnostic_counters.get(counter, 0) + count

    # -- figures

    def view(self) -> TaskAdmissionView:
        return self._view

    @property
    def in_flight(self) -> int:
        """How many leases are out."""
        return len(self._ledger.live)

    @property
    def leases(self) -> tuple[int, int]:
        """How many leases were issued, and how many came back."""
        return self._ledger.issued, self._ledger.returned

    def most_leased(self) -> Mapping[SchedulerResourceKey, int]:
        """Resource to the most that was out of it at once."""
        return self._most_leased.figures(self._fewest_free)

    def explain_blocked(self, blocked: Iterable[Blocked], queue_view: QueueView) -> TaskAdmissionBlockSummary:
        """Add up what the queue's `blocked()` yields."""
        return block_summary(blocked, queue_view)

    def close(self) -> None:
        """Admit nothing more. Leases that are out are still taken back."""
        self._closed = True
        self._agreed_on = None

    def check_invariants(self) -> None:
        """What is out and what is free add up to the limits, in all and by group. Raises `AssertionError`."""
        self._ledger.check_invariants()
        out: dict[str, int] = dict.fromkeys(self._limits, 0)
        running: dict[TaskGroupKey, int] = {}
        for lease in self._ledger.live:
            running[lease.item.group.key] = running.get(lease.item.group.key, 0) + 1
            for resource, amount in lease.resources.items():
                out[resource] += amount
        assert running == {key: holding.running for key, holding in self._holdings.items() if holding.running}
        for resource, limit in self._limits.items():
            assert self._available[resource] == limit - out[resource]
            assert out[resource] == sum(h.held(resource) for h in self._holdings.values())
            assert out[resource] <= self.most_leased()[resource]
        assert all(debt > 0 for debt in self._debt.values())
