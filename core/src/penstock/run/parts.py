"""The parts of a run, each whole, and what can only be told by both gates together."""

from __future__ import annotations

import attrs
import trio

from penstock.events.records import EventStream
from penstock.executor.executor import ModelRequestExecutor
from penstock.plugins.manager import PluginManager
from penstock.run.plugin_errors import PluginErrors
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
    errors: PluginErrors
    stall_timeouts: tuple[float, float]
    """How long a task and a call wait at most for a plugin that could not answer, in seconds."""

    def explanation(self, group: str | None = None) -> Explanation:
        """What all groups of tasks, or one, wait for, what plugins raised, and what those in shadow would have done."""
        return attrs.evolve(
            self.tasks.explanation(group),
            shadows=self.plugins.shadows.tallies(),
            plugin_failures=self.errors.failures,
        )

    def explain(self, group: str | None = None) -> str:
        """What everything that is left waits for, at both gates, in words; or what one group of tasks waits for."""
        now = trio.current_time()
        of_tasks, of_calls = self.stall_timeouts
        lines = [str(self.explanation(group))]
        lines += [
            failure.told(now, of_tasks if failure.gate == "scheduler" else of_calls) for failure in self.errors.failures
        ]
        return "\n".join(lines if group is not None else [*lines, self.requests.explain()])
