"""Where an admitted task runs: the protocol, and the runner that awaits it right there, in the scheduler's nursery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from penstock.tasks.lease import TaskAdmissionLease
    from penstock.tasks.records import SchedulableTask

__all__ = ["NurseryTaskRunner", "TaskRunner"]


@runtime_checkable
class TaskRunner(Protocol):
    """Carries out a task that holds its lease. Awaited inside the worker's own trio task; cancelled with it.

    It returns the task's result or raises the task's exception. It does not release the lease.
    """

    async def run(self, task: SchedulableTask, lease: TaskAdmissionLease) -> Any: ...


class NurseryTaskRunner:
    """Awaits the task's payload where it stands. The payload is an async callable without arguments."""

    async def run(self, task: SchedulableTask, lease: TaskAdmissionLease) -> Any:
        return await task.payload()
