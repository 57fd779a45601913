"""The scheduler of the task gate alone, without configuration, plugins and a request gate."""

from __future__ import annotations

from penstock.scheduler.interface import TaskInterface
from penstock.scheduler.parts import SchedulerParts
from penstock.tasks.standing import Explanation

__all__ = ["AsyncTaskScheduler"]


class AsyncTaskScheduler(TaskInterface):
    """A scheduler of tasks: it starts each as soon as the task gate lets it, while its loop runs.

    Runs have a `Scheduler`, by `penstock.open_scheduler`; this one is for tests, by `penstock.testing.open_rig`.
    """

    def __init__(self, parts: SchedulerParts) -> None:
        super().__init__(parts)
        self.loop = parts.loop
        """The dispatch loop: to be run beside the caller's block."""
        self.book = parts.book
        """The tasks that have not ended."""
        self.endings = parts.endings
        """What became of the others."""

    def signal(self, name: str) -> None:
        """The signal `name`: what was refused until then is asked again."""
        self._tasks.signal(name)

    def explain(self, group: str | None = None) -> str:
        """What everything that is left waits for, in words; or what one group waits for."""
        return str(self._tasks.explanation(group))

    def explanation(self, group: str | None = None) -> Explanation:
        """The same as records."""
        return self._tasks.explanation(group)
