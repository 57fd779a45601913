"""The dependency graph of the unfinished tasks, and the ready frontier that follows from it.

A task counts the unfinished tasks that it depends on, and knows its dependants; so a completion costs the number of
tasks that it readies, whatever else is waiting. Finished ids are remembered, since later tasks may name them; when
their row group is sealed they fold into ranges (`id_ranges.py`).

    not ready -> ready -> enqueued -> complete
                   ^          |  \\
                   |          v   v
                   +------ deferred  dropped (with everything that depends on it)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Any, Generic, Protocol, TypeVar

import attrs

from penstock.readiness.cycles import find_cycle
from penstock.readiness.finished_ids import FinishedIds
from penstock.words.errors import ConfigError

__all__ = ["CompletionTracker", "TaskNode", "Tracked"]

NOT_READY, READY, ENQUEUED, DEFERRED = "not ready", "ready", "enqueued", "deferred"


class Tracked(Protocol):
    """What is tracked: a task, by its id. The same id again is no error if it comes with the same payload."""

    @property
    def task_id(self) -> str: ...

    @property
    def payload(self) -> Any: ...


T = TypeVar("T", bound=Tracked)


@attrs.define(slots=True)
class TaskNode(Generic[T]):
    """A task and its edges: the ids that it depends on, and the open barriers that are to depend on it.

    A `barrier` takes members until it is sealed.
    """

    task: T
    after: Sequence[str] = ()
    members_of: Sequence[str] = ()
    row_group: str | None = None
    barrier: bool = False


@attrs.define(slots=True, eq=False, weakref_slot=False)
class _Node(Generic[T]):
    """An unfinished task. A `barrier` takes further members; `members` are the ids that it depends on so far."""

    task: T
    row_group: str | None
    barrier: bool = False
    after: Sequence[str] = ()
    members: list[str] | None = None
    missing: int = 0
    deferral: int = 0
    numbered: bool = False
    dependants: list[str] | None = None
    state: str = NOT_READY


class CompletionTracker(Generic[T]):
    """The owner of readiness. Pure; repeating a call changes nothing."""

    def __init__(self) -> None:
        self.tasks: dict[str, T] = {}
        """The unfinished tasks by id; to be read only."""
        self._nodes: dict[str, _Node[T]] = {}
        """Their nodes. One that the scheduler numbered and that nothing waits for has none until that changes, which
        saves 112 of the 440 bytes that a queued task would take."""
        self._ready: dict[str, T] = {}
        self._deferred: list[tuple[float, int, str]] = []
        self._deferrals = 0
        self._finished = FinishedIds()

    def __len__(self) -> int:
        """The number of unfinished tasks."""
        return len(self.tasks)

    # -- building the graph

    def add(self, batch: Iterable[TaskNode[T]]) -> list[T]:
        """Add tasks, all or nothing; returns those that were dropped at once, since they need one that was dropped.

        Edges inside the batch may point forward. Raises `ConfigError` naming the task for an edge to an unknown id, a
        cycle, or an unfinished id that comes with another payload; then nothing was added.
        """
        fresh = self._check(list(batch))
        for node in fresh.values():
            self.tasks[node.task.task_id] = node.task
            made = self._nodes[node.task.task_id] = _Node(node.task, node.row_group, node.barrier, node.after)
            if node.barrier:
                made.members, made.missing = [], 1
            if node.row_group is not None:
                self._finished.expect(node.row_group)
        doomed = []
        for task_id, node in fresh.items():
            for needed in dict.fromkeys(node.after):
                if self._finished.was_dropped(needed):
                    doomed.append(task_id)
                else:
                    self._link(needed, task_id)
            for barrier in dict.fromkeys(node.members_of):
                self._link(task_id, barrier)
                gathered = self._nodes[barrier].members
                assert gathered is not None
                gathered.append(task_id)
        for task_id in fresh:
            self._ready_if_free(task_id)
        return [dropped for task_id in doomed for dropped in self.drop(task_id)]

    def add_one(self, task: T, row_group: str | None = None, number: int = 0) -> None:
        """Add one task that depends on nothing, as `add` does, without the checks of a graph, which would be a quarter
        of what a task takes (8 of 33 µs). Raises `ConfigError` if its id is taken.

        `number`: the scheduler gave its id, `NUMBERED` and this number, which is larger than any before.
        """
        task_id = task.task_id
        if number:
            self._finished.count_to(number)
        elif task_id in self.tasks or self.is_finished(task_id):
            raise ConfigError(f"there is a task {task_id!r} already")
        self.tasks[task_id] = self._ready[task_id] = task
        if number and row_group is None:
            return
        self._nodes[task_id] = _Node(task, row_group, numbered=number > 0, state=READY)
        if row_group is not None:
            self._finished.expect(row_group)

    def barrier(self, task: T, after: Sequence[str] = (), row_group: str | None = None) -> list[T]:
        """Add a task that depends, beside `after`, on members that later batches name, until `seal(task_id)`."""
        return self.add([TaskNode(task, after, (), row_group, barrier=True)])

    def seal(self, task_id: str) -> list[T]:
        """Close a barrier to further members; returns it, as a list of one, if that readied it."""
        node = self._nodes.get(task_id)
        if node is None or not node.barrier:
            return []
        node.barrier = False
        node.missing -= 1
        self._ready_if_free(task_id)
        return [] if node.missing else [node.task]

    def seal_row_group(self, row_group: str) -> None:
        """Close a row group to further tasks, so that its ids fold into ranges when all are finished."""
        self._finished.seal(row_group)

    def _check(self, batch: list[TaskNode[T]]) -> dict[str, TaskNode[T]]:
        """The nodes of a batch that are new, after every check; changes nothing."""
        fresh: dict[str, TaskNode[T]] = {}
        for node in batch:
            task_id = node.task.task_id
            if task_id in self.tasks:
                self._check_same(node.task)
            elif task_id in fresh:
                if fresh[task_id].task.payload is not node.task.payload:
                    raise ConfigError(f"task {task_id!r} stands twice in one batch, with different payloads")
            elif not self.is_finished(task_id):
                fresh[task_id] = node
        members: dict[str, list[str]] = {}
        for task_id, node in fresh.items():
            for needed in node.after:
                if needed not in fresh and needed not in self.tasks and not self.is_finished(needed):
                    raise ConfigError(f"task {task_id!r} comes after {needed!r}, which was never added")
            for barrier in node.members_of:
                target = self._nodes.get(barrier) or fresh.get(barrier)
                if target is None or not target.barrier:
                    raise ConfigError(f"task {task_id!r} names {barrier!r} in members_of, which is no open barrier")
                members.setdefault(barrier, []).append(task_id)
        self._refuse_cycles(fresh, members)
        return fresh

    def _refuse_cycles(self, fresh: dict[str, TaskNode[T]], members: dict[str, list[str]]) -> None:
        """Raise `ConfigError` naming a cycle.

        Tasks that were there depend on new ones only through a barrier: so only from its new members on need they be
        looked at.
        """

        def needs(task_id: str) -> list[str]:
            new = members.get(task_id, [])
            if task_id in fresh:
                return new + [each for each in fresh[task_id].after if each in fresh or each in self.tasks]
            node = self._nodes.get(task_id)
            before = () if node is None else (*node.after, *(node.members or ()))
            return new + [each for each in before if each in self.tasks]

        def needs_of_the_batch(task_id: str) -> list[str]:
            return [needed for needed in needs(task_id) if needed in fresh]

        joined = [each for barrier, new in members.items() if barrier not in fresh for each in new]
        cycle = find_cycle(joined, needs) or find_cycle(fresh, needs_of_the_batch)
        if cycle is not None:
            raise ConfigError("tasks wait for each other: " + " -> ".join(cycle))

    def _check_same(self, task: T) -> None:
        if self.tasks[task.task_id].payload is not task.payload:
            raise ConfigError(f"task {task.task_id!r} is there already, unfinished and with another payload")

    def _node(self, task_id: str) -> _Node[T] | None:
        """The node of an unfinished task; one that had none gets one now."""
        node = self._nodes.get(task_id)
        if node is None and (task := self.tasks.get(task_id)) is not None:
            state = READY if task_id in self._ready else ENQUEUED
            node = self._nodes[task_id] = _Node(task, None, numbered=True, state=state)
        return node

    def _link(self, needed: str, task_id: str) -> None:
        if (node := self._node(needed)) is not None:  # otherwise it is finished
            node.dependants = node.dependants or []
            node.dependants.append(task_id)
            self._nodes[task_id].missing += 1

    def _ready_if_free(self, task_id: str) -> None:
        node = self._nodes[task_id]
        if not node.missing and node.state == NOT_READY:
            node.state = READY
            self._ready[task_id] = node.task

    # -- what is ready

    def is_ready(self, task_id: str) -> bool:
        """Whether the task is in the frontier."""
        return task_id in self._ready

    def is_free(self, task_id: str) -> bool:
        """Whether the task is unfinished and waits for nothing but its turn: for no other task, and no moment."""
        node = self._nodes.get(task_id)
        return task_id in self.tasks if node is None else node.state in (READY, ENQUEUED)

    def comes_after(self, task_id: str) -> Sequence[str]:
        """The unfinished tasks that a task which is not ready waits for."""
        node = self._nodes.get(task_id)
        before = () if node is None or node.state != NOT_READY else (*node.after, *(node.members or ()))
        return tuple(each for each in before if each in self.tasks)

    def ready_frontier(self) -> tuple[T, ...]:
        """The tasks that are ready and not acknowledged yet, in the order in which they became so."""
        return tuple(self._ready.values())

    @property
    def has_ready(self) -> bool:
        """Whether the frontier holds anything."""
        return bool(self._ready)

    def mark_enqueued(self, task_ids: Iterable[str]) -> None:
        """Take these tasks out of the frontier, since the ready queue has them."""
        for task_id in task_ids:
            if self._ready.pop(task_id, None) is not None and task_id in self._nodes:
                self._nodes[task_id].state = ENQUEUED
        if not self._ready:
            self._ready.clear()  # as in `_forget`: 42 bytes of each task that is handed in at once

    def defer(self, task_id: str, until: float) -> None:
        """Put a task that was tried back into the frontier at the moment `until`, in seconds of the run's clock.

        The last call holds.
        """
        node = self._node(task_id)
        if node is None or node.state == NOT_READY:
            return
        self._ready.pop(task_id, None)
        node.state = DEFERRED
        self._deferrals += 1
        node.deferral = self._deferrals
        heappush(self._deferred, (until, self._deferrals, task_id))

    def advance(self, now: float) -> list[str]:
        """Bring deferred tasks whose moment has come back to the frontier; returns their ids."""
        back = []
        while self._deferred and self._deferred[0][0] <= now:
            entry = heappop(self._deferred)
            if self._is_deferred(entry):
                node = self._nodes[entry[2]]
                node.state = READY
                self._ready[entry[2]] = node.task
                back.append(entry[2])
        return back

    def deferred(self) -> list[tuple[float, str]]:
        """The deferred tasks, each after the moment at which it comes back."""
        return [(entry[0], entry[2]) for entry in self._deferred if self._is_deferred(entry)]

    def next_change(self, now: float) -> float | None:
        """The moment at which the next deferred task comes back; `now` if one is due."""
        while self._deferred and not self._is_deferred(self._deferred[0]):
            heappop(self._deferred)
        return max(self._deferred[0][0], now) if self._deferred else None

    def _is_deferred(self, entry: tuple[float, int, str]) -> bool:
        _, deferral, task_id = entry
        node = self._nodes.get(task_id)
        return node is not None and node.state == DEFERRED and node.deferral == deferral

    # -- finishing

    def mark_complete(self, task_id: str) -> list[T]:
        """Complete a task; returns the tasks that this readied. Costs as many steps as tasks depend on it."""
        node = self._nodes.get(task_id)
        if node is None:
            self._leave(task_id)
            return []
        self._finish(task_id, node, dropped=False)
        readied = []
        for dependant in node.dependants or ():
            if (waiting := self._nodes.get(dependant)) is not None:
                waiting.missing -= 1
                if not waiting.missing:
                    waiting.state = READY
                    self._ready[dependant] = waiting.task
                    readied.append(waiting.task)
        return readied

    def drop(self, task_id: str) -> list[T]:
        """Drop a task, with every task that depends on it; returns them all, this one first."""
        dropped: list[T] = []
        left = [task_id]
        while left:
            current = left.pop()
            if (node := self._node(current)) is not None:
                self._finish(current, node, dropped=True)
                dropped.append(node.task)
                left.extend(reversed(node.dependants or ()))
        return dropped

    def _leave(self, task_id: str) -> None:
        self._ready.pop(task_id, None)
        if self.tasks.pop(task_id, None) is not None and not self.tasks:
            self._forget()

    def _finish(self, task_id: str, node: _Node[T], *, dropped: bool) -> None:
        del self._nodes[task_id]
        self._leave(task_id)
        self._finished.note(task_id, node.row_group, dropped=dropped, given=node.numbered)

    def _forget(self) -> None:
        for emptied in (self.tasks, self._nodes, self._ready):
            emptied.clear()  # otherwise it keeps its memory

    # -- state

    def is_finished(self, task_id: str) -> bool:
        """Whether the task was completed or dropped."""
        return task_id in self._finished or (task_id not in self.tasks and self._finished.was_given(task_id))

    def kept_ids(self) -> int:
        """The number of finished ids, or ranges of them, that are remembered."""
        return self._finished.kept()

    def unfinished(self) -> Iterator[tuple[str, str, int]]:
        """The unfinished tasks: id, state, and how many tasks it depends on (an open barrier counts as one)."""
        for task_id in self.tasks:
            node = self._nodes.get(task_id)
            if node is None:
                yield task_id, READY if task_id in self._ready else ENQUEUED, 0
            else:
                yield task_id, "open barrier" if node.barrier else node.state, node.missing

    def check_invariants(self) -> None:
        """Check that states, counts and edges agree. Raises `AssertionError`."""
        assert self._nodes.keys() <= self.tasks.keys()
        assert self._ready.keys() <= self.tasks.keys()
        missing = {task_id: int(node.barrier) for task_id, node in self._nodes.items()}
        for node in self._nodes.values():
            for dependant in node.dependants or ():
                if dependant in missing:
                    missing[dependant] += 1
        for task_id, node in self._nodes.items():
            assert node.missing == missing[task_id], f"{task_id} counts {node.missing}, has {missing[task_id]}"
            assert (node.missing > 0) == (node.state == NOT_READY), f"{task_id} is {node.state}, misses {node.missing}"
            assert (node.state == READY) == (task_id in self._ready)
            assert not self.is_finished(task_id)
        in_groups = [node.row_group for node in self._nodes.values() if node.row_group is not None]
        assert self._finished.expected() == {name: in_groups.count(name) for name in in_groups}
