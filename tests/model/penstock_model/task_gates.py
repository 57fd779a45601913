"""The real task gate behind the few verbs that a run of the model needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from penstock import (
    Blocked,
    Condition,
    Denied,
    FifoTaskQueue,
    QueueView,
    ReadyQueue,
    ReleaseResult,
    SchedulableTask,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskAdmissionLease,
    TaskAdmissionPolicy,
    TaskAdmissionView,
    TaskGate,
)
from penstock_fairqueue import FairTaskQueue
from penstock_model.list_queue import ListQueue
from penstock_strict_fair import StrictFairPolicy

__all__ = ["QUEUES", "Rule", "TaskGateUnderTest", "task_gate"]

Rule = Callable[[SchedulableTask, QueueView, TaskAdmissionView, float], Denied | None]

QUEUES: Mapping[str, Callable[[dict[str, int]], ReadyQueue]] = {
    "fifo": lambda limits: FifoTaskQueue(),
    "fair": FairTaskQueue,
    "list": lambda limits: ListQueue(),
}


class TaskGateUnderTest(Protocol):
    """A task gate, driven by hand."""

    def offer(self, tasks: Sequence[SchedulableTask], now: float) -> tuple[str, ...]: ...

    def next(self, now: float) -> SchedulableTask | None: ...

    def finish(self, task_id: str, now: float) -> ReleaseResult: ...

    def finish_again(self, now: float) -> ReleaseResult | None:
        """Give the lease back once more that came back last; `None` if none did."""
        ...

    def discard(self, task_id: str, now: float) -> None: ...

    def wake(self, condition: Condition, now: float) -> None: ...

    def next_change(self, now: float) -> float | None: ...

    def close(self, now: float) -> None: ...

    def take_given_up(self) -> list[str]:
        """The ids of those that were refused for good since the last call."""
        ...

    def reserved(self) -> Mapping[str, int]: ...

    def available(self) -> Mapping[str, int]: ...

    def queued_total(self) -> int: ...

    def refusals(self) -> Iterator[Blocked]: ...

    def most_queued(self) -> Mapping[str, int]: ...

    def most_leased(self) -> Mapping[str, int]: ...

    def check_invariants(self) -> None: ...


class TaskGateByHand:
    """The task gate as a run has it, with what it gave out."""

    def __init__(self, queue: ReadyQueue, limits: Mapping[str, int], rule: Rule, *, strict_fair: bool) -> None:
        policies: list[tuple[str, TaskAdmissionPolicy]] = [("strict-fair", StrictFairPolicy())] if strict_fair else []
        others = {resource: limit for resource, limit in limits.items() if resource != "submission"}
        self._queue = queue
        self._controller = TaskAdmissionController(TaskAdmissionConfig(limits["submission"], others), policies, rule)
        self._gate = TaskGate(queue, self._controller)
        self._leases: dict[str, TaskAdmissionLease] = {}
        self._last: TaskAdmissionLease | None = None

    def offer(self, tasks: Sequence[SchedulableTask], now: float) -> tuple[str, ...]:
        return self._gate.offer(tasks, now)

    def next(self, now: float) -> SchedulableTask | None:
        lease = self._gate.next(now)
        if lease is None:
            return None
        self._leases[lease.item.task_id] = lease
        return lease.item

    def finish(self, task_id: str, now: float) -> ReleaseResult:
        self._last = self._leases.pop(task_id)
        return self._gate.finish(self._last, now)

    def finish_again(self, now: float) -> ReleaseResult | None:
        return None if self._last is None else self._gate.finish(self._last, now)

    def discard(self, task_id: str, now: float) -> None:
        assert self._gate.discard(task_id, now) is not None
        assert self._gate.discard(task_id, now) is None

    def wake(self, condition: Condition, now: float) -> None:
        self._gate.wake(condition, now)

    def next_change(self, now: float) -> float | None:
        return self._gate.next_change(now)

    def close(self, now: float) -> None:
        self._gate.close()

    def take_given_up(self) -> list[str]:
        return [task.task_id for task, _ in self._gate.take_given_up()]

    def reserved(self) -> Mapping[str, int]:
        return dict(self._controller.view().reserved)

    def available(self) -> Mapping[str, int]:
        return dict(self._controller.view().resources_available)

    def queued_total(self) -> int:
        return self._queue.view().queued_total

    def refusals(self) -> Iterator[Blocked]:
        return self._gate.blocked()

    def most_queued(self) -> Mapping[str, int]:
        return {str(group): most for group, most in self._gate.most_queued().figures.items()}

    def most_leased(self) -> Mapping[str, int]:
        return self._controller.most_leased()

    def check_invariants(self) -> None:
        self._gate.check_invariants()


def task_gate(queue: str, limits: Mapping[str, int], rule: Rule, *, strict_fair: bool = False) -> TaskGateUnderTest:
    """The task gate over a queue of this name (see `QUEUES`)."""
    return TaskGateByHand(QUEUES[queue](dict(limits)), limits, rule, strict_fair=strict_fair)
