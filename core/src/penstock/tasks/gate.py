"""The task gate: tasks are offered, the next that may run is admitted with its lease, and gives it back when it ends.

    offer -> ready queue -> next: select, acquire, commit -> its lease -> finish
                  ^                                                                      |
                  +------------------- wake: what came free, or came true <--------------+

It owns the order (a `ReadyQueue`), the controller and the ledger; who uses it decides nothing. Pure: no trio, and
`now` is passed in, in seconds of the run's clock.

A queue of lanes (`LaneTaskQueue`) is driven by the law of refusals (`docs/design/refusals.md`): it knows who fits, and
is asked by policies and rules alone. Any other queue goes the guarded way: room is a refusal like others, and who was
selected is asked once more before it has its lease.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from typing import Any, Final

import attrs

from penstock.queueing.highest import HighestByName
from penstock.queueing.lanes import ALL
from penstock.tasks.admission import Shape, TaskAdmissionController
from penstock.tasks.entries import TaskEntry
from penstock.tasks.guarded_queue import GuardedQueue, QueueAnswers
from penstock.tasks.lease import TaskAdmissionDenied, TaskAdmissionLease
from penstock.tasks.queue import FifoTaskQueue, LaneTaskQueue
from penstock.tasks.ready_queue import Blocked, QueueView, ReadyQueue
from penstock.tasks.records import SchedulableTask, SchedulerResourceKey, TaskGroupKey
from penstock.words.leases import ReleaseResult
from penstock.words.plugin_failures import PluginMaker
from penstock.words.verdicts import Condition, Denied, Signal

__all__ = ["Herd", "TaskGate"]

MANY: Final = 1000
"""An event that leads to more refusals than this is reported by `explain`."""


@attrs.frozen
class Herd:
    """How many were asked in vain for one event, and when."""

    refused: int
    at: float


def _is_ours(kind: type[LaneTaskQueue]) -> bool:
    """Whether selecting and taking is as it was written here, and not in a class derived from it."""
    return all(
        getattr(kind, name) is getattr(LaneTaskQueue, name) for name in ("select_next", "commit", "park", "wake")
    )


def _answers_as_ours(kind: type[LaneTaskQueue]) -> bool:
    """The same of what else it is asked."""
    return all(
        getattr(kind, name) is getattr(LaneTaskQueue, name)
        for name in ("enqueue", "discard", "blocked", "next_change", "view")
    )


class TaskGate:
    """The queue, the controller and what is between them: whoever is offered leaves by `next` or by `discard`.

    What a queue does that is not ours is watched: `on_stale` is called when it would not commit what it had just
    selected, with the lease that was taken back; `on_denied` when it selected a task that had not been agreed to.
    `on_refused` is called with each refusal by policies and rules, and returns the one that holds.
    """

    calm: Final = False
    """A queue that is not ours is told of each lease that is given back."""
    on_stale: Callable[[TaskAdmissionLease, ReleaseResult, float], Any] | None = None
    on_denied: Callable[[SchedulableTask, Denied, float], Any] | None = None
    offer: Callable[[Sequence[SchedulableTask], float], tuple[str, ...]]
    """The ids that are new: these tasks are queued now. One that is queued already is no error, and one that could
    never fit is given up."""
    keeps_nobody_back: Callable[[], bool]
    """Whether nobody who is queued waits for anything but a free place in `submission`, as far as that is known without
    asking: nobody is refused, and all fit but for that. Of a queue that is not ours it is not known."""
    finish: Callable[[TaskAdmissionLease, float], ReleaseResult]
    """What became of a lease that is given back: it counts once, and who waited for that is asked again.

    Never raises.
    """

    def __init__(
        self, queue: ReadyQueue, controller: TaskAdmissionController, maker: PluginMaker | None = None
    ) -> None:
        self.controller = controller
        self._agrees, self._grant, self.finish = controller.agrees, controller.grant, controller.take_back
        self._maker = PluginMaker(type(queue).__name__) if maker is None else maker
        self.broken: BaseException | None = None
        """What the queue raised when it was woken: `next` raises it, since a lease may have been given back then."""
        self._refused: list[tuple[SchedulableTask, Denied]] = []
        """For good, and still parked in the queue."""
        self.given_up: list[tuple[SchedulableTask, Denied]] = []
        """The tasks that were refused for good, for `take_given_up`; to be read only."""
        self.herd: Herd | None = None
        """The latest event for which more than a thousand were asked in vain."""
        self._refusals_given = self._refusals_told = 0
        """By a queue that is not ours, ever; and up to when nobody could go any more."""
        self._choose: Callable[[Callable[[SchedulableTask, float], Denied | None], float], Any] | None
        """The entry of the first task in our own queue that is agreed to; `None`: the queue is not ours or is broken,
        or the gate is closed."""
        self._closed = False
        self._known: Mapping[str, TaskEntry] | None = None
        self._put: Callable[[Sequence[TaskEntry], float], tuple[str, ...]] | None
        """The way of entries straight into our own queue; `None`: their records are offered."""
        self._order_by(queue)

    def _order_by(self, queue: ReadyQueue) -> None:
        self.queue = queue
        self._refusals_told = self._refusals_given = 0
        self._rested_at = -inf
        """When nobody was selected last."""
        self._lanes = lanes = queue if isinstance(queue, LaneTaskQueue) and _is_ours(type(queue)) else None
        self._put_straight()
        self._guarded: GuardedQueue | None = None
        """A queue that selects by itself."""
        self._asked: LaneTaskQueue | QueueAnswers
        if lanes is None:
            self._asked = self._guarded = GuardedQueue(queue, self._maker)
            self._view = self._guarded.view()
            self.offer, self.keeps_nobody_back, self._choose = self._offer_guarded, (lambda: False), None
            self.controller.attach(self._view, self)
        else:
            self._asked = asked = lanes if _answers_as_ours(type(lanes)) else QueueAnswers(lanes, self._maker)
            self._view = asked.view()
            self.offer, self.keeps_nobody_back = asked.enqueue, lanes.keeps_nobody_back
            self._choose = None if self._closed else lanes.choose
            lanes.make_room(self.controller.room, self._give_up)
            self.controller.attach(self._view, lanes.waiting)

    def take_entries_of(self, known: Mapping[str, TaskEntry]) -> None:
        """From now on all tasks are offered as entries, by `offer_entries`, and `known` has them by their ids."""
        self._known = known
        self._put_straight()

    def _put_straight(self) -> None:
        """Let entries go straight into the lanes, if the queue's own ways in and out are as they are written here."""
        lanes, known, kind = self._lanes, self._known, type(self.queue)
        self._put = None
        if lanes is None:
            return
        ways = ("enqueue", "discard", "take")
        if known is None or any(getattr(kind, name) is not getattr(LaneTaskQueue, name) for name in ways):
            self._take = lanes.take
            lanes.find_in({})
        else:
            self._put, self._take = lanes.put, lanes.take_put
            lanes.find_in(known)

    def offer_entries(self, tasks: Sequence[TaskEntry], now: float) -> tuple[str, ...]:
        """As `offer`. The records of the tasks are made when somebody looks at them; another's queue looks at once."""
        put = self._put
        return self.offer([task.make() for task in tasks], now) if put is None else put(tasks, now)

    @property
    def on_refused(self) -> Callable[[SchedulableTask, Denied, float], Denied] | None:
        return self.controller.on_refused

    @on_refused.setter
    def on_refused(self, callback: Callable[[SchedulableTask, Denied, float], Denied] | None) -> None:
        self.controller.on_refused = callback

    def abandon_queue(self) -> None:
        """The queue cannot be trusted any more: it is asked nothing, and an empty one stands in its place."""
        self._known = None  # they stand in the one that is abandoned
        self._order_by(FifoTaskQueue())

    def set_limits(self, limits: Mapping[SchedulerResourceKey, int]) -> None:
        """From now on there is so much of each resource. Raises as `TaskAdmissionController.set_limits`."""
        self.controller.set_limits(limits)
        changed = getattr(self.queue, "limits_changed", None)
        if changed is not None:
            changed(limits)

    @property
    def view(self) -> QueueView:
        """The live window onto what is queued."""
        return self._view

    def _offer_guarded(self, tasks: Sequence[SchedulableTask], now: float) -> tuple[str, ...]:
        assert self._guarded is not None, "the queue is ours"
        hopeless: set[str] = set()
        for task in tasks:
            never = self.controller.never_fits(task)
            if never is not None:
                hopeless.add(task.task_id)
                self.given_up.append((task, never))
        accepted = hopeless.union(self._guarded.enqueue([task for task in tasks if task.task_id not in hopeless], now))
        return tuple(task.task_id for task in tasks if task.task_id in accepted)

    def next(self, now: float) -> TaskAdmissionLease | None:
        """The lease of the next task that may run; `None` while nobody may, until something changes."""
        choose = self._choose
        if choose is None:
            return self._next_otherwise(now)
        entry = choose(self._agrees, now)
        if entry is not None:
            return self._grant(self._take(entry), now)
        self._rest(now)
        return None

    def _next_otherwise(self, now: float) -> TaskAdmissionLease | None:
        if self.broken is not None:
            raise self.broken
        return None if self._closed else self._next_guarded(now)

    def _rest(self, now: float) -> None:
        """Nobody may go any more: what was refused since that was so last is what the event has cost."""
        self._rested_at = now
        refusals = self._refusals_given if self._lanes is None else self._lanes.refusals_given
        refused, self._refusals_told = refusals - self._refusals_told, refusals
        if refused > MANY:
            self.herd = Herd(refused, now)

    def _give_up(self, denied: Denied, tasks: list[SchedulableTask]) -> None:
        self.given_up += [(task, denied) for task in tasks]

    def _next_guarded(self, now: float) -> TaskAdmissionLease | None:
        queue = self._guarded
        assert queue is not None, "the queue is ours"

        def is_eligible(task: SchedulableTask, _: QueueView) -> Denied | None:
            denied = self.controller.is_eligible(task, self._view, now)
            return None if denied is None else self._noted(task, denied)

        while True:
            selection = queue.select_next(is_eligible, now)
            if selection is None:
                if not self._drop_refused(queue, now):
                    self._rest(now)
                    return None
                continue
            lease = self.controller.try_acquire(selection.item, self._view, now)
            if isinstance(lease, TaskAdmissionDenied):
                if self.on_denied is not None:
                    self.on_denied(selection.item, lease.denied, now)
                queue.park(selection.item, self._noted(selection.item, lease.denied), now)
                continue
            try:
                if queue.commit(selection, now):
                    self._drop_refused(queue, now)
                    return lease
            except BaseException:
                self.finish(lease, now)
                raise
            result = self.finish(lease, now)
            if self.on_stale is not None:
                self.on_stale(lease, result, now)
            queue.refuse_stale()

    def _noted(self, task: SchedulableTask, denied: Denied) -> Denied:
        """What nothing ends is no refusal to wait under: the task alone is parked until it has been taken out."""
        self._refusals_given += 1
        if not denied.final:
            return denied
        self._refused.append((task, denied))
        return attrs.evolve(denied, until={Signal("dropped")}, scope="task", cohort=None)

    def _drop_refused(self, queue: GuardedQueue, now: float) -> bool:
        """Take those out that were refused for good; whether there were any."""
        refused, self._refused = self._refused, []
        for task, denied in refused:
            if queue.discard(task.task_id, now) is not None:
                self.given_up.append((task, denied))
        return bool(refused)

    def take_given_up(self) -> list[tuple[SchedulableTask, Denied]]:
        """The tasks that were refused for good since the last call, with why; they are queued no longer."""
        given_up, self.given_up = self.given_up, []
        return given_up

    def came_free(self, group: TaskGroupKey, shape: Shape, now: float) -> None:
        """A queue that is not ours is told what came true by a lease that was given back."""
        for condition, amount in self.controller.freed(group, shape):
            self._wake(condition, amount, now)

    def discard(self, task_id: str, now: float) -> SchedulableTask | None:
        """The task of this id, which is not to be done any more; `None` if it is not queued."""
        if self._asked is self._lanes:
            return self._lanes.discard(task_id, now)
        try:
            return self._asked.discard(task_id, now)
        except BaseException as error:  # the caller's task is gone all the same
            self.broken = error
            return None

    def wake(self, condition: Condition, now: float) -> None:
        """A condition came true: who was refused until then is asked again."""
        self._wake(condition, ALL, now)

    def _wake(self, condition: Condition, amount: int, now: float) -> None:
        try:
            self._asked.wake(condition, amount, now)
        except BaseException as error:
            self.broken, self._choose = error, None

    def next_change(self, now: float) -> float | None:
        """The earliest moment at which time alone ends a refusal."""
        return None if self._closed else self._maker.later(self._asked.next_change(now), self._rested_at)

    def blocked(self) -> Iterator[Blocked]:
        """What keeps tasks back, with how many."""
        return self._asked.blocked()

    def close(self) -> None:
        """Admit nothing more. Leases that are out are still taken back."""
        self._closed, self._choose = True, None
        self.controller.close()

    def most_queued(self) -> HighestByName:
        """Of each group how many tasks have been queued at once."""
        queue = self._guarded or self._lanes
        assert queue is not None, "there is always a queue"
        return queue.most_queued()

    def check_invariants(self) -> None:
        """Queue and ledger are in order. Raises `AssertionError`."""
        self.controller.check_invariants()
        checker = getattr(self.queue, "check_invariants", None)
        if checker is not None:
            checker()
