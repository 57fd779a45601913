"""The parts of a run, each whole, and what only both gates together can explain."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs
import trio

from penstock.events.records import EventStream
from penstock.executor.executor import ModelRequestExecutor
from penstock.plugins.manager import PluginManager
from penstock.requests.standing import RequestExplanation
from penstock.run.capacity import RunCapacity
from penstock.run.deadlocks import Deadlocks
from penstock.run.notes import RunNotes
from penstock.run.plugin_errors import PluginErrors
from penstock.run.task_policies import TaskPolicies
from penstock.scheduler.parts import SchedulerParts
from penstock.scheduler.places import RunnerStanding
from penstock.tasks.standing import Explanation
from penstock.words.errors import ConfigError
from penstock.words.printable import printable
from penstock.words.problems import Problem

__all__ = ["RunExplanation", "RunParts"]

_log: Final = logging.getLogger("penstock.run")


@attrs.frozen(kw_only=True)
class RunExplanation(Explanation):
    """What a run waits for at one moment: the task gate's explanation, with the request gate's beside it."""

    requests: RequestExplanation = attrs.field(factory=RequestExplanation)
    runners: Mapping[str, RunnerStanding] = attrs.field(factory=dict)
    """How the runners stand that count their workers, by name."""
    perhaps_deadlock: tuple[str, ...] = ()
    """Who waits for whom, where that may never end and is not certain."""

    def tasks_as_dict(self) -> dict[str, Any]:
        """The task gate's own part, as plain data."""
        return {name: value for name, value in self.as_dict().items() if name not in ("requests", "perhaps_deadlock")}


@attrs.frozen(kw_only=True)
class RunParts:
    """What a run is made of: both gates, who decides at the first of them, the plugins, and the two streams.
    `capacity` says what limits it."""

    run_id: str
    tasks: SchedulerParts
    policies: TaskPolicies
    requests: ModelRequestExecutor
    plugins: PluginManager
    notes: RunNotes
    scheduler_events: EventStream
    request_events: EventStream
    errors: PluginErrors
    deadlocks: Deadlocks
    capacity: RunCapacity

    def explanation(self, group: str | None = None) -> RunExplanation:
        """What every group of tasks, or one, waits for, and what calls wait for; as records.

        `shadows` has what plugins in shadow would have done, `plugin_failures` what plugins raised.
        """
        of_tasks = attrs.asdict(self.tasks.explanation(group), recurse=False)
        of_tasks |= {"shadows": self.plugins.shadows.tallies(), "plugin_failures": self.errors.failures}
        of_tasks |= {"promises": self.plugins.promises}
        requests, perhaps = self.requests.explanation(), self.deadlocks.perhaps()
        runners = self.tasks.runners.standings(trio.current_time())
        return RunExplanation(requests=requests, runners=runners, perhaps_deadlock=perhaps, **of_tasks)

    def explain(self, group: str | None = None) -> str:
        """What everything that is left waits for, at both gates, in words; or what one group of tasks waits for."""
        now = trio.current_time()
        config = self.plugins.config
        of_tasks, of_calls = config.scheduler.stall_timeout, config.requests.stall_timeout
        explanation = self.explanation(group)
        lines = [str(explanation)]
        lines += [f"runner {name}: {printable(str(standing))}" for name, standing in explanation.runners.items()]
        for failure in explanation.plugin_failures:
            lines.append(failure.in_words(now, of_tasks if failure.gate == "scheduler" else of_calls))
        if group is None:
            lines.append(str(explanation.requests))
            if explanation.perhaps_deadlock:
                lines += ["perhaps a deadlock:", *(f"  {printable(line)}" for line in explanation.perhaps_deadlock)]
            lines += [f"not known yet: {problem}" for problem in self.unknown_names()]
        return "\n".join(lines)

    def say_promises(self, besides: Mapping[str, tuple[str, ...]] = MappingProxyType({})) -> None:
        """Log what plugins promise of the run, but for what was said `besides`."""
        for plugin, texts in self.plugins.promises.items():
            for text in texts:
                if text not in besides.get(plugin, ()):
                    _log.info("run %s: plugin %r promises: %s", self.run_id, plugin, text)

    def check_names_before_calls(self) -> None:
        """From now on a call raises `ConfigError` while the configuration names what nobody has made known.

        Where it has no `[providers]`, a program may do so until then.
        """
        for problem in self.plugins.unresolved:
            _log.warning("not known yet: %s", problem)
        self.requests.before_calls(self._check_names if self.plugins.unresolved else None)

    def unknown_names(self) -> list[Problem]:
        """What the configuration names that nobody has made known yet."""
        return self.plugins.name_problems(*self.requests.names()) if self.plugins.unresolved else []

    def _check_names(self) -> None:
        if unknown := self.unknown_names():
            raise ConfigError(unknown)
        self.requests.before_calls(None)
