"""A ready queue that is not ours, driven with a guard.

What it answers is looked at before anything is made of it, since a plugin's mistake would else be found somewhere else,
or never: a task that is selected twice would run twice, and a moment that is past would keep the loop awake. Of a queue
of lanes that changes some methods only their answers are looked at (`QueueAnswers`). Any other `ReadyQueue` selects
itself (`GuardedQueue`): who came when, and how many there were, is kept beside it and not asked of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from penstock.queueing.highest import HighestByName
from penstock.tasks.oldest import ArrivalBook
from penstock.tasks.ready_queue import Blocked, QueueSelection, QueueView, ReadyQueue
from penstock.tasks.records import SchedulableTask
from penstock.words.plugin_failures import PluginMaker, what_it_raised
from penstock.words.verdicts import Condition, Denied

__all__ = ["GuardedQueue", "QueueAnswers"]

STALE_SELECTIONS: Final = 3
"""A queue whose selections are outdated so often in a row is broken."""
_VIEWED: Final = tuple(name for name in vars(QueueView) if not name.startswith("_") and name != "oldest")


class QueueAnswers:
    """What a queue of somebody else answers; `maker` is the plugin that made it. Each method raises what the queue
    raises, or `BrokenQueue` for an answer that is none.
    """

    def __init__(self, queue: ReadyQueue, maker: PluginMaker) -> None:
        self._queue = queue
        self._maker = maker

    def view(self) -> QueueView:
        """The live window onto what is queued. What the queue raises is named: no loop runs yet that would do so."""
        try:
            view = self._queue.view()
            missing = next((name for name in _VIEWED if not hasattr(view, name)), None)
        except BaseException as error:
            raise self._maker.error(f"its ready queue: {what_it_raised(error)}") from error
        if missing is not None:
            raise self._maker.error(f"view must return a QueueView; {missing} is missing")
        return view

    def enqueue(self, tasks: Sequence[SchedulableTask], now: float) -> tuple[str, ...]:
        """The ids of those that are queued now, and were not before, in the order in which they were given."""
        answer: object = self._queue.enqueue(tasks, now)
        if isinstance(answer, str | bytes) or not isinstance(answer, Iterable):
            raise self._maker.error("enqueue must return the ids that are new, as a tuple")
        accepted = {each for each in answer if isinstance(each, str)}
        return tuple(task.task_id for task in tasks if task.task_id in accepted)

    def discard(self, task_id: str, now: float) -> SchedulableTask | None:
        """The task of this id, which leaves; `None` if it is not queued."""
        task: object = self._queue.discard(task_id, now)
        if task is not None and not (isinstance(task, SchedulableTask) and task.task_id == task_id):
            raise self._maker.error("discard must return the task of this id, or None")
        return task

    def wake(self, condition: Condition, amount: int, now: float) -> None:
        """A condition came true."""
        self._queue.wake(condition, amount, now)

    def next_change(self, now: float) -> float | None:
        """The earliest moment at which time alone ends a refusal."""
        return self._maker.a_moment(self._queue.next_change(now))

    def blocked(self) -> Iterator[Blocked]:
        """What keeps tasks back. What the queue raises is named, since those ask who explain a run."""
        try:
            answer: object = self._queue.blocked()
            found = [*answer] if isinstance(answer, Iterable) else [answer]
        except BaseException as error:
            raise self._maker.error(f"its ready queue: {what_it_raised(error)}") from error
        for each in found:
            if not isinstance(each, Blocked):
                raise self._maker.error("blocked must return records of Blocked")
            yield each


class GuardedQueue(QueueAnswers):
    """A queue of somebody else that selects for itself."""

    def __init__(self, queue: ReadyQueue, maker: PluginMaker) -> None:
        super().__init__(queue, maker)
        self._arrivals = ArrivalBook()
        self._most_queued = HighestByName()
        self._view = self._arrivals.beside(super().view())
        self._stale = 0

    def view(self) -> QueueView:
        """The live window onto what is queued."""
        return self._view

    def most_queued(self) -> HighestByName:
        """Of each group how many tasks have been queued at once."""
        return self._most_queued

    def enqueue(self, tasks: Sequence[SchedulableTask], now: float) -> tuple[str, ...]:
        """The ids of those that are queued now, and were not before."""
        accepted = super().enqueue(tasks, now)
        new = set(accepted)
        came = [task for task in tasks if task.task_id in new]
        self._arrivals.came(came)
        queued = self._view.queued_by_group
        for key in {task.group.key for task in came}:
            self._most_queued.note(key, queued.get(key, 0))
        return accepted

    def select_next(
        self, is_eligible: Callable[[SchedulableTask, QueueView], Denied | None], now: float
    ) -> QueueSelection | None:
        """Whom the queue selects."""
        selection: object = self._queue.select_next(is_eligible, now)
        if selection is None:
            return None
        if not isinstance(selection, QueueSelection):
            raise self._maker.error("select_next must return a QueueSelection or None")
        task: object = selection.item
        if not (isinstance(task, SchedulableTask) and self._arrivals.has(task.task_id)):
            raise self._maker.error("select_next must select a task that is queued, and has not been committed")
        return selection

    def commit(self, selection: QueueSelection, now: float) -> bool:
        """Whether the queue commits what it has just selected."""
        committed: object = self._queue.commit(selection, now)
        if committed is None:
            self._stale += 1
            return False
        self._stale = 0
        if not (isinstance(committed, SchedulableTask) and committed.task_id == selection.item.task_id):
            raise self._maker.error("commit must return the task that was selected, or None")
        self._arrivals.left(committed.task_id)
        return True

    def refuse_stale(self) -> None:
        """Raises `BrokenQueue` where it has not committed what it selected, again and again."""
        if self._stale == STALE_SELECTIONS:
            raise self._maker.error("its selections were outdated three times in a row")

    def park(self, task: SchedulableTask, denied: Denied, now: float) -> None:
        """File a task under a refusal that it met after selection."""
        self._queue.park(task, denied, now)

    def discard(self, task_id: str, now: float) -> SchedulableTask | None:
        """The task of this id, which leaves; `None` if it is not queued."""
        self._arrivals.left(task_id)
        return super().discard(task_id, now)
