"""The deadlocks of a run: one that is certain ends with a `StallError` for one of those in it (`wait_graph.py`).

A deadlock that is certain has only waits without a deadline or a timeout. That one of them may be cancelled, or a cap
raised, is no way out: nobody may count on it. What is not certain is a "perhaps", which only `explain` shows.

The graph is made when a holder of something begins to wait, and not kept. A "perhaps" that only another trio
task of the same nursery could undo becomes certain when that one ends, or waits for the nursery's end. Trio
reports that to instruments alone, so there is one for as long as there is such a "perhaps".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

import trio

from penstock.executor.gate import RequestGate
from penstock.executor.lease_waits import lineage
from penstock.requests.waiters import RequestWaiter
from penstock.run.wait_graph import Stuck, Task, WaitGraph
from penstock.scheduler.parts import SchedulerParts
from penstock.scheduler.waits import TaskWait
from penstock.words.errors import StallError

__all__ = ["Deadlocks"]


class Deadlocks:
    """The deadlocks of a run, certain ones and others."""

    def __init__(self, tasks: SchedulerParts, gate: RequestGate) -> None:
        self._tasks = tasks
        self._gate = gate
        self._graph = WaitGraph(tasks, gate)
        self._nurseries = _NurseryWatch(self._look_again)
        self._block: trio.lowlevel.Task
        self._outer_nurseries: frozenset[trio.Nursery] = frozenset()
        self._own_nurseries: frozenset[trio.Nursery] = frozenset()
        self._waits_for_tasks: Counter[Task] = Counter()
        """How many wait for tasks in each trio task or in nurseries of it."""
        gate.waits.on_park = self._parked
        tasks.waits.on_wait = self._count_wait
        tasks.waits.on_deadlock_due = self.end

    def opening(self) -> None:
        """The run is about to begin, in the trio task of its block."""
        self._block = trio.lowlevel.current_task()
        self._outer_nurseries = frozenset(self._block.child_nurseries)

    def opened(self) -> None:
        """The run's block begins: the nurseries that were opened since `opening` are the run's."""
        self._own_nurseries = frozenset(self._block.child_nurseries) - self._outer_nurseries

    def closed(self) -> None:
        """The run has ended."""
        self._nurseries.watch((), ())

    def end(self) -> None:
        """A `StallError` in the wait of one task of each deadlock: the innermost, which came last."""
        possible = self._graph.reduced(self._waiting(bounded_too=False), certain=False)
        stuck = self._graph.reduced(possible, certain=True)
        while stuck:
            victim = self._graph.innermost(stuck, certain=True)
            error = StallError(chain=self._graph.chain(victim, stuck))
            wait = stuck.pop(victim).wait
            if isinstance(wait, TaskWait):
                wait.stall(error)
            elif wait is not None:
                self._gate.stall(wait, error)
            stuck = self._graph.reduced(stuck, certain=True)
        children = {child for each in possible.values() for child in each.children if child not in possible}
        parents = {task for task, each in possible.items() if each.wait is None and not each.ends}
        self._nurseries.watch(children, parents)

    def perhaps(self) -> tuple[str, ...]:
        """Who waits for whom where that may be a deadlock; nothing if there is none."""
        stuck = self._graph.reduced(self._waiting(bounded_too=True), certain=False)
        return self._graph.chain(self._graph.innermost(stuck, certain=False), stuck) if stuck else ()

    # -- inside --

    def _look_again(self) -> None:
        self._tasks.waits.deadlock_due = True
        self._tasks.wakeup.ring()

    def _parked(self, task: Task) -> None:
        """Only who holds something, or for whom a holder waits, can close a circle."""
        held = self._gate.waits.blocks.by_holder
        in_a_circle = bool(held) and (
            self._a_holder_waits_for_tasks() or any(each in held for each in self._line(task))
        )
        if in_a_circle or self._nurseries.watching:
            self._look_again()

    def _count_wait(self, task: Task, change: int) -> None:
        for each in self._line(task):
            self._waits_for_tasks[each] += change
            if not self._waits_for_tasks[each]:
                del self._waits_for_tasks[each]

    def _a_holder_waits_for_tasks(self) -> bool:
        return not self._gate.waits.blocks.by_holder.keys().isdisjoint(self._waits_for_tasks)

    def _line(self, task: Task) -> list[Task]:
        """The trio task, the one in whose nursery it runs, and so on to who carries out a task, or to the block."""
        found: list[Task] = []
        for each in lineage(task):
            found.append(each)
            if self._is_outermost(each):
                break
        return found

    def _is_outermost(self, task: Task) -> bool:
        return task is self._block or self._tasks.workers.task_of(task) is not None

    def _waiting(self, *, bounded_too: bool) -> dict[Task, Stuck]:
        """Whoever may be stuck, with those in whose nurseries they are.

        Unless `bounded_too`, left out is who waits until some moment, or outside the block and the tasks of the run.
        """
        waits: list[tuple[Task, RequestWaiter | TaskWait, bool]]
        waits = [(wait.waiter, wait, wait.bounded) for wait in self._tasks.waits.by_waiter.values()]
        gate = self._gate.waits
        if bounded_too or gate.a_holder_is_parked() or self._a_holder_waits_for_tasks():
            waits += [(waiter.parked, waiter, bounded) for waiter, bounded in gate.waiters() if waiter.parked]
        found = {
            task: self._stuck(task, wait)
            for task, wait, bounded in waits
            if bounded_too or (not bounded and self._is_outermost(self._line(task)[-1]))
        }
        for task in tuple(found):
            for above in self._line(task)[1:]:
                if above not in found:
                    found[above] = self._stuck(above, None)
        return found

    def _stuck(self, task: Task, wait: RequestWaiter | TaskWait | None) -> Stuck:
        own = self._own_nurseries if task is self._block else ()
        nurseries = [nursery for nursery in task.child_nurseries if nursery not in own]
        parent = None if self._is_outermost(task) or task.parent_nursery is None else task.parent_nursery.parent_task
        return Stuck(
            wait=wait,
            task_id=self._tasks.workers.task_of(task),
            name=self._name(task),
            ends=bool(nurseries) and nurseries[-1] is task.child_nurseries[-1] and _waits_for_nursery(task),
            children=tuple(child for nursery in nurseries for child in nursery.child_tasks),
            parent=parent,
        )

    def _name(self, task: Task) -> str:
        outermost = self._line(task)[-1]
        task_id = self._tasks.workers.task_of(outermost)
        if task_id is None and outermost is not self._block:
            return f"trio task {task.name!r}"
        name = "the run's block" if task_id is None else f"task {task_id!r}"
        return name if task is outermost else f"trio task {task.name!r} of {name}"


class _NurseryWatch(trio.abc.Instrument):
    """The instrument that calls back when one of `children` ends, or one of `parents` waits for its nursery's end."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._children: Collection[Task] = ()
        self._parents: Collection[Task] = ()
        self.watching = False

    def watch(self, children: Collection[Task], parents: Collection[Task]) -> None:
        """From now on these are watched, in place of those before."""
        self._children, self._parents = children, parents
        watching = bool(children or parents)
        if watching != self.watching:
            self.watching = watching
            (trio.lowlevel.add_instrument if watching else trio.lowlevel.remove_instrument)(self)

    def task_exited(self, task: Task) -> None:
        if task in self._children:
            self._changed()

    def after_task_step(self, task: Task) -> None:
        if task in self._parents and _waits_for_nursery(task):
            self._changed()


def _waits_for_nursery(task: Task) -> bool:
    """Whether a trio task has come to the end of its innermost nursery's block, and waits for those in it.

    Trio has no public name for that; where this one is gone, all such deadlocks are a "perhaps".
    """
    nurseries = task.child_nurseries
    return bool(nurseries) and getattr(nurseries[-1], "_parent_waiting_in_aexit", False)
