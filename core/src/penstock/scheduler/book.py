"""Every task that was taken on and has not ended: its job, its deadline, and what it comes after.

`endings.py` takes it out again. Synchronous; `now` is passed in.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from heapq import heappop, heappush

from penstock.readiness.completion import CompletionTracker, TaskNode
from penstock.scheduler.events import SchedulerEvents
from penstock.scheduler.jobs import Job
from penstock.words.errors import ConfigError

__all__ = ["TaskBook"]


class TaskBook:
    """The unfinished tasks: `jobs` by task id, and their dependencies in `tracker`."""

    def __init__(self, events: SchedulerEvents) -> None:
        self.tracker: CompletionTracker[Job] = CompletionTracker()
        self.jobs: Mapping[str, Job] = self.tracker.tasks
        self._events = events
        self._deadlines: list[tuple[float, int, str]] = []
        self._numbered = 0

    def take_on(self, nodes: Sequence[TaskNode[Job]], now: float) -> Collection[Job]:
        """Those that come after something that was dropped, and so are dropped, too; all are entered, or none.

        Raises `ConfigError`, as `CompletionTracker.add` does.
        """
        fresh: set[str] = set()
        for node in nodes:
            task_id = node.task.task_id
            if task_id in self.jobs or self.tracker.is_finished(task_id):
                raise ConfigError(f"there is a task {task_id!r} already")
            if task_id in fresh:
                raise ConfigError(f"task {task_id!r} stands twice in one batch")
            fresh.add(task_id)
        dropped = self.tracker.add(nodes)
        for node in nodes:
            self._note_deadline(node.task)
            if self.tracker.is_ready(node.task.task_id):
                self._events.task("dependency_ready", node.task, now)
        return dropped

    def take_on_one(self, job: Job, number: int) -> None:
        """A task that comes after nothing is entered. Raises `ConfigError` if its id is taken.

        `number`: that of an id which the scheduler gave; otherwise 0.
        """
        terms = job.terms
        self.tracker.add_one(job, terms.row_group, number)
        if terms.deadline is not None:
            self._note_deadline(job)

    def _note_deadline(self, job: Job) -> None:
        deadline = job.terms.deadline
        if deadline is not None:
            self._numbered += 1
            heappush(self._deadlines, (deadline, self._numbered, job.task_id))

    def seal(self, name: str, now: float) -> None:
        """No more members for the barrier of this id, or no more tasks of this row group."""
        for job in self.tracker.seal(name):
            self._events.task("dependency_ready", job, now)
        self.tracker.seal_row_group(name)

    def expired(self, now: float, started: Container[str], *, strictly: bool) -> Iterator[Job]:
        """The jobs whose deadline has come (`strictly`: is past) and that were not `started`; each once."""
        while self._deadlines and (self._deadlines[0][0] < now or (self._deadlines[0][0] == now and not strictly)):
            task_id = heappop(self._deadlines)[2]
            if task_id in self.jobs and task_id not in started:
                yield self.jobs[task_id]

    @property
    def has_deadlines(self) -> bool:
        """Whether any task may end by its deadline."""
        return bool(self._deadlines)

    def next_deadline(self) -> float | None:
        """The earliest deadline of a task that has not ended; one that runs has none any more."""
        while self._deadlines and self._deadlines[0][2] not in self.jobs:
            heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def too_large_for(self, limits: Mapping[str, int]) -> Mapping[str, tuple[int, int, str]]:
        """The resources of which tasks ask for more than `limits` has: the most that is asked for, by how many tasks,
        and the id of the first.
        """
        found: dict[str, tuple[int, int, str]] = {}
        for task_id, job in self.jobs.items():
            for resource, amount in job.terms.resource_request.shape:
                if amount > limits.get(resource, 0):
                    most, tasks, first = found.get(resource, (0, 0, task_id))
                    found[resource] = (max(most, amount), tasks + 1, first)
        return found

    def check_invariants(self) -> None:
        """The tracker is in order, and what has ended has left. Raises `AssertionError`."""
        self.tracker.check_invariants()
        assert not any(job.done for job in self.jobs.values())
