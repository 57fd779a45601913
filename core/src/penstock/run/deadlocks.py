"""Who waits for whom, over both gates: a deadlock is told to one of those in it.

A trio task that waits for a place, or for a task to end, is *stuck* if nothing but those who are stuck could end that:
the caps would have no room for its call, or the task gate none for the task that it waits for, if only what the stuck
hold were out; or the task that it waits for runs and is stuck itself. Found by reduction (R. Holt, "Some Deadlock
Properties of Computer Systems", 1972): first all who wait count as stuck, then whoever could go on is struck out, until
nobody is. Whatever is not known counts as a way out: a limiter or a rule that refuses, a lease that is not held by a
block, a task that waits for others or for a moment.

It is *certain* where each of the stuck waits in the trio task that gives back what it holds, without a deadline or a
timeout, and with no nursery of its own in which others run. Otherwise it is a "perhaps", which only `explain` tells.
That somebody cancels one of them, or raises a cap, is no way out: nobody may count on it.

The graph is made when somebody who holds something begins to wait, and not kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

import attrs
import trio

from penstock.executor.gate import RequestGate
from penstock.requests.items import RequestAdmissionLease
from penstock.requests.waiters import RequestWaiter
from penstock.scheduler.scheduler import AsyncTaskScheduler
from penstock.scheduler.waits import TaskWait
from penstock.words.errors import StallError

__all__ = ["Deadlocks"]

LISTED: Final = 10
"""How many of those who wait for each other are told one by one."""

Task = trio.lowlevel.Task


@attrs.frozen(eq=False)
class _Stuck:
    """A trio task that waits: for what, and the task of the run that it carries out, if it does."""

    wait: RequestWaiter | TaskWait
    task_id: str | None
    name: str

    @property
    def order(self) -> tuple[float, bool, int]:
        """Who began to wait later comes later."""
        if isinstance(self.wait, TaskWait):
            return self.wait.began, False, 0
        return self.wait.enqueued_at, True, self.wait.sequence


class Deadlocks:
    """The deadlocks of a run: told to one of those in it where they are certain. Made in the trio task of its block."""

    def __init__(self, tasks: AsyncTaskScheduler, gate: RequestGate) -> None:
        self._tasks = tasks
        self._loop = tasks.loop
        self._gate = gate
        self._block = trio.lowlevel.current_task()
        self._outer_nurseries = frozenset(self._block.child_nurseries)
        self._own_nurseries: frozenset[trio.Nursery] = frozenset()
        gate.waits.on_park = self._parked
        self._task_waits = tasks.loop.waits
        self._task_waits.on_deadlock_due = self.end

    def opened(self) -> None:
        """The run's block begins: the nurseries that were opened since this was made are the run's."""
        self._own_nurseries = frozenset(self._block.child_nurseries) - self._outer_nurseries

    def end(self) -> None:
        """Raise `StallError` in the wait of one task of each deadlock: the innermost, which came last."""
        stuck = self._reduced(self._waiting(certain=True))
        while stuck:
            victim = self._innermost(stuck)
            error = StallError(chain=self._chain(victim, stuck))
            wait = stuck.pop(victim).wait
            if isinstance(wait, TaskWait):
                wait.stall(error)
            else:
                self._gate.stall(wait, error)
            stuck = self._reduced(stuck)

    def perhaps(self) -> tuple[str, ...]:
        """Who waits for whom where that may be a deadlock; nothing if there is none."""
        stuck = self._reduced(self._waiting(certain=False))
        return self._chain(self._innermost(stuck), stuck) if stuck else ()

    # -- inside --

    def _parked(self, task: Task) -> None:
        """Only who holds something, or for whom somebody waits who does, can close a circle."""
        held = self._gate.waits.held
        if task in held or not held.keys().isdisjoint(self._task_waits.by_waiter):
            self._task_waits.deadlock_due = True
            self._loop.wakeup.ring()

    def _waiting(self, *, certain: bool) -> dict[Task, _Stuck]:
        """Whoever may be stuck; where it need not be `certain`, also by what those in its nurseries wait for."""
        waits: list[tuple[Task, RequestWaiter | TaskWait, bool]] = [
            (wait.waiter, wait, wait.bounded) for wait in self._task_waits.by_waiter.values()
        ]
        gate = self._gate.waits
        if not certain or gate.a_holder_is_parked() or not gate.held.keys().isdisjoint(self._task_waits.by_waiter):
            waits += [(waiter.parked, waiter, bounded) for waiter, bounded in gate.waiters() if waiter.parked]
        found = {
            task: self._stuck(task, wait)
            for task, wait, bounded in waits
            if not certain or (not bounded and self._is_alone(task))
        }
        if not certain:
            for task, wait, _ in waits:
                for above in _ancestors(task):
                    if above in self._gate.waits.held or self._loop.task_of(above) is not None:
                        found.setdefault(above, self._stuck(above, wait))
        return found

    def _stuck(self, task: Task, wait: RequestWaiter | TaskWait) -> _Stuck:
        task_id = self._loop.task_of(task)
        if task_id is not None:
            return _Stuck(wait, task_id, f"task {task_id!r}")
        return _Stuck(wait, None, "the run's block" if task is self._block else f"trio task {task.name!r}")

    def _is_alone(self, task: Task) -> bool:
        """Whether it carries out a task or the run's block, and nobody in a nursery of its own could end its wait."""
        if task is not self._block and self._loop.task_of(task) is None:
            return False
        own = self._own_nurseries if task is self._block else ()
        return all(nursery in own or not nursery.child_tasks for nursery in task.child_nurseries)

    def _reduced(self, stuck: Mapping[Task, _Stuck]) -> dict[Task, _Stuck]:
        """Those who are left when whoever could go on has been struck out, with whom that lets go on."""
        left = dict(stuck)
        while True:
            holdings = _Holdings(self._tasks, self._gate, left)
            free = [task for task, waiting in left.items() if not holdings.hopeless(waiting.wait)]
            if not free:
                return left
            for task in free:
                del left[task]

    def _innermost(self, stuck: Mapping[Task, _Stuck]) -> Task:
        """The last who began to wait, of those without whom others, or they themselves, could go on."""
        latest = sorted(stuck, key=lambda task: stuck[task].order, reverse=True)
        for task in latest:
            others = {each: waiting for each, waiting in stuck.items() if each is not task}
            left = self._reduced(others)
            own = _Holdings(self._tasks, self._gate, left)
            if len(left) < len(others) or not own.hopeless(stuck[task].wait):
                return task
        return latest[0]

    def _chain(self, first: Task, stuck: Mapping[Task, _Stuck]) -> tuple[str, ...]:
        """A line for each, from the first on to whom it waits for, until that is told."""
        holdings = _Holdings(self._tasks, self._gate, stuck)
        lines: list[str] = []
        told: set[Task] = set()
        task: Task | None = first
        while task is not None and task not in told and len(lines) < LISTED:
            told.add(task)
            what, by = holdings.what_stands_in_the_way(task, stuck[task].wait)
            who = "" if by is None else "itself" if by is task else stuck[by].name
            lines.append(f"{stuck[task].name} waits for {what}{who}")
            task = by
        return tuple(lines)


class _Holdings:
    """What those who are stuck hold at both gates."""

    def __init__(self, tasks: AsyncTaskScheduler, gate: RequestGate, stuck: Mapping[Task, _Stuck]) -> None:
        self._tasks = tasks
        self._gate = gate
        self._held = {task: gate.waits.held[task] for task in stuck if task in gate.waits.held}
        self._leases: list[RequestAdmissionLease] = [lease for leases in self._held.values() for lease in leases]
        self._running = {waiting.task_id: task for task, waiting in stuck.items() if waiting.task_id is not None}
        self._amounts: Counter[str] = Counter()
        for task_id in self._running:
            self._amounts.update(tasks.book.jobs[task_id].task.resource_request.amounts)

    def hopeless(self, wait: RequestWaiter | TaskWait) -> bool:
        """Whether nothing but what these hold could end this wait."""
        if isinstance(wait, RequestWaiter):
            return bool(self._leases) and not self._gate.fits_beside(wait.item, self._leases)
        awaited = wait.awaited()
        return bool(awaited) and all(map(self._cannot_end, awaited))

    def _cannot_end(self, task_id: str) -> bool:
        if task_id in self._tasks.loop.in_flight:
            return task_id in self._running
        job = self._tasks.book.jobs.get(task_id)
        if job is None or job.task.deadline is not None or not self._tasks.book.tracker.is_free(task_id):
            return False
        return self._full_for(task_id) is not None

    def _full_for(self, task_id: str) -> str | None:
        """The resource of which these leave too little for a task that has not started."""
        limits = self._tasks.admission.view().resource_limits
        needs = self._tasks.book.jobs[task_id].task.resource_request.amounts
        return next((each for each, need in needs.items() if self._amounts[each] + need > limits[each]), None)

    def what_stands_in_the_way(self, task: Task, wait: RequestWaiter | TaskWait) -> tuple[str, Task | None]:
        """What is waited for, in words, and one of these who stands in the way: another one if there is one."""
        if isinstance(wait, RequestWaiter):
            model = wait.item.resource.provider_model
            by = [each for each, held in self._held.items() if any(_of(lease) == model for lease in held)]
            return f"a place of {wait.item.resource}, held by ", _another(by, task)
        task_id = next(iter(wait.awaited()))
        if task_id in self._running:
            return f"task {task_id!r}, carried out by ", self._running[task_id]
        full = self._full_for(task_id)
        by = [
            each
            for running, each in self._running.items()
            if full is not None and full in self._tasks.book.jobs[running].task.resource_request.amounts
        ]
        return f"task {task_id!r}, which cannot start: {full} is held by ", _another(by, task)


def _of(lease: RequestAdmissionLease) -> object:
    return lease.item.resource.provider_model


def _another(tasks: list[Task], task: Task) -> Task | None:
    return next((each for each in tasks if each is not task), tasks[0] if tasks else None)


def _ancestors(task: Task) -> list[Task]:
    found = []
    while task.parent_nursery is not None:
        task = task.parent_nursery.parent_task
        found.append(task)
    return found
