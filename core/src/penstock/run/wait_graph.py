"""The graph of who waits for whom, over both gates, and what is left of it when whoever could go on is struck out.

A trio task that waits for a place, or for a task to end, is *stuck* if nothing but those who are stuck could end that:
the caps would have no room for its call, or the task gate none for the task that it waits for, if only what the stuck
hold were out; or the task that it waits for runs and is stuck itself. Found by reduction (R. Holt, "Some Deadlock
Properties of Computer Systems", 1972): first all who wait count as stuck, then whoever could go on is struck out, until
nobody is. Whatever is not known counts as a way out: a limiter or a rule that refuses, a lease that is not held by a
block, a task that waits for others or for a moment.

It is *certain* only where also nobody in the same nurseries could end the wait, by cancelling a nursery or raising into
it: whoever runs in a nursery of one who is stuck is stuck as well, and who opened the nursery in which one is stuck
waits itself, for a place, for a task, or for the end of that nursery. Otherwise it is a "perhaps".
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
from penstock.scheduler.parts import SchedulerParts
from penstock.scheduler.waits import TaskWait

__all__ = ["Stuck", "Task", "WaitGraph"]

LONGEST_CHAIN: Final = 10
"""How many of those who wait for each other are named one by one."""

FAR: Final = 100
"""How many tasks are looked at for one that an awaited task comes after and that cannot end."""

Task = trio.lowlevel.Task


@attrs.frozen(eq=False)
class Stuck:
    """A trio task that may be stuck, with the id of the task of the run that it carries out, if it does.

    `wait`      what it waits for; `None` for one in whose nurseries others wait
    `ends`      whether it waits for the end of its innermost nursery
    `children`  who runs in its nurseries
    `parent`    in whose nursery it runs itself; `None` for who carries out a task, and for the run's block
    """

    wait: RequestWaiter | TaskWait | None
    task_id: str | None
    name: str
    ends: bool
    children: tuple[Task, ...]
    parent: Task | None

    @property
    def order(self) -> tuple[float, bool, int]:
        """Who began to wait later comes later."""
        if isinstance(self.wait, RequestWaiter):
            return self.wait.enqueued_at, True, self.wait.sequence
        return -1.0 if self.wait is None else self.wait.began, False, 0


class WaitGraph:
    """The waits at both gates of one run."""

    def __init__(self, tasks: SchedulerParts, gate: RequestGate) -> None:
        self._tasks = tasks
        self._gate = gate

    def reduced(self, stuck: Mapping[Task, Stuck], *, certain: bool) -> dict[Task, Stuck]:
        """Those who are left when whoever could go on has been struck out, with whom that lets go on."""
        left = dict(stuck)
        while True:
            holdings = _Holdings(self._tasks, self._gate, left)
            kept = {
                task: each
                for task, each in left.items()
                if _nursery_holds(each, left, certain=certain) and holdings.hopeless(each.wait)
            }
            if len(kept) == len(left):
                return kept
            left = kept

    def innermost(self, stuck: Mapping[Task, Stuck], *, certain: bool) -> Task:
        """The last who began to wait, of those without whom others, or they themselves, could go on."""
        waits = [task for task, each in stuck.items() if each.wait is not None]
        latest = sorted(waits, key=lambda task: stuck[task].order, reverse=True)
        for task in latest:
            others = {each: waiting for each, waiting in stuck.items() if each is not task}
            left = self.reduced(others, certain=certain)
            if len(left) < len(others) or not _Holdings(self._tasks, self._gate, left).hopeless(stuck[task].wait):
                return task
        return latest[0]

    def chain(self, first: Task, stuck: Mapping[Task, Stuck]) -> tuple[str, ...]:
        """A line for each, from the first on to whom it waits for, until that one has its line."""
        holdings = _Holdings(self._tasks, self._gate, stuck)
        lines: dict[Task, str] = {}
        task: Task | None = first
        while task is not None and task not in lines and len(lines) < LONGEST_CHAIN:
            what, by = holdings.obstacle(task, stuck[task])
            who = "" if by is None else "itself" if by is task else stuck[by].name
            lines[task] = f"{stuck[task].name} waits for {what}{who}"
            task = by
        return tuple(lines.values())


def _nursery_holds(each: Stuck, left: Mapping[Task, Stuck], *, certain: bool) -> bool:
    """Whether nobody in the same nurseries lets this one go on."""
    if not certain:
        return each.wait is not None or any(child in left for child in each.children)
    waits = each.wait is not None or each.ends
    return waits and (each.parent is None or each.parent in left) and all(child in left for child in each.children)


class _Holdings:
    """What those who are stuck hold at both gates."""

    def __init__(self, tasks: SchedulerParts, gate: RequestGate, stuck: Mapping[Task, Stuck]) -> None:
        self._tasks = tasks
        self._gate = gate
        self._stuck = stuck
        held = gate.waits.blocks.by_holder
        self._held = {task: [block.lease for block in held[task]] for task in stuck if task in held}
        self._leases: list[RequestAdmissionLease] = [lease for leases in self._held.values() for lease in leases]
        self._running = {each.task_id: task for task, each in stuck.items() if each.task_id is not None}
        self._amounts = Counter[str]()
        for task_id in self._running:
            self._amounts.update(self._needs(task_id))

    def _needs(self, task_id: str) -> Mapping[str, int]:
        return self._tasks.book.jobs[task_id].terms.resource_request.amounts

    def hopeless(self, wait: RequestWaiter | TaskWait | None) -> bool:
        """Whether nothing but what these hold could end this wait; `None` is judged by its nurseries alone."""
        if wait is None:
            return True
        if isinstance(wait, RequestWaiter):
            return bool(self._leases) and not self._gate.controller.fits_beside(wait.item, self._leases)
        awaited = wait.awaited() if self._running else ()
        return bool(awaited) and all(self._kept_from_ending(task_id) is not None for task_id in awaited)

    def _kept_from_ending(self, task_id: str) -> str | None:
        """The task, or one that it comes after, that these keep from ending; `None` if there is none, or it is far."""
        left, seen = [task_id], {task_id}
        while left and len(seen) <= FAR:
            each = left.pop()
            if self._cannot_end(each):
                return each
            job = self._tasks.book.jobs.get(each)
            if job is not None and job.terms.deadline is None:
                new = set(self._tasks.book.tracker.comes_after(each)) - seen
                left += new
                seen |= new
        return None

    def _cannot_end(self, task_id: str) -> bool:
        if task_id in self._tasks.workers.in_flight:
            return task_id in self._running
        job = self._tasks.book.jobs.get(task_id)
        if job is None or job.terms.deadline is not None or not self._tasks.book.tracker.is_free(task_id):
            return False
        return self._full_for(task_id) is not None

    def _full_for(self, task_id: str) -> str | None:
        """The resource of which these leave too little for a task that has not started."""
        limits = self._tasks.gate.controller.view().resource_limits
        needs = self._needs(task_id)
        return next((each for each, need in needs.items() if self._amounts[each] + need > limits[each]), None)

    def obstacle(self, task: Task, each: Stuck) -> tuple[str, Task | None]:
        """What is waited for, in words, and one of these who stands in the way: another one if there is one."""
        wait = each.wait
        if wait is None:
            first, *_ = (child for child in each.children if child in self._stuck)
            return "the end of ", first
        if isinstance(wait, RequestWaiter):
            model = wait.item.resource.provider_model
            models = {task: {lease.item.resource.provider_model for lease in held} for task, held in self._held.items()}
            by = [holder for holder, held in models.items() if model in held]
            return f"a place of {wait.item.resource}, held by ", _another(by, task)
        awaited = next(iter(wait.awaited()))
        task_id = self._kept_from_ending(awaited) or awaited
        what = f"task {task_id!r}" if task_id == awaited else f"task {awaited!r}, which comes after task {task_id!r}"
        if task_id in self._running:
            return f"{what}, carried out by ", self._running[task_id]
        full = self._full_for(task_id)
        by = [holder for running, holder in self._running.items() if full is not None and full in self._needs(running)]
        return f"{what}, which cannot start: {full} is held by ", _another(by, task)


def _another(tasks: list[Task], task: Task) -> Task | None:
    return next((each for each in tasks if each is not task), tasks[0] if tasks else None)
