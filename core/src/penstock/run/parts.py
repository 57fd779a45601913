"""The parts of a run, each whole, and what can only be told by both gates together."""

from __future__ import annotations

import attrs

from penstock.events.records import EventStream
from penstock.executor.executor import ModelRequestExecutor
from penstock.plugins.manager import PluginManager
from penstock.run.task_policies import TaskPolicies
from penstock.scheduler.scheduler import AsyncTaskScheduler
from penstock.tasks.standing import Explanation

__all__ = ["RunParts"]


@attrs.frozen(kw_only=True)
class RunParts:
    """What a run is made of: both gates, who decides at the first of them, the plugins, and the two streams."""

    run_id: str
    tasks: AsyncTaskScheduler
    policies: TaskPolicies
    requests: ModelRequestExecutor
    plugins: PluginManager
    scheduler_events: EventStream
    request_events: EventStream

    def explanation(self, group: str | None = None) -> Explanation:
        """What every group of tasks, or one, waits for, and what plugins in shadow would have done; as records."""
        return attrs.evolve(self.tasks.explanation(group), shadows=self.plugins.shadows.tallies())

    def explain(self, group: str | None = None) -> str:
        """What everything that is left waits for, at both gates, in words; or what one group of tasks waits for."""
        tasks = str(self.explanation(group))
        return tasks if group is not None else f"{tasks}\n{self.requests.explain()}"
