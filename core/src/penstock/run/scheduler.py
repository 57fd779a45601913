"""The scheduler of a run as its users hold it: tasks go in here, and both gates can be looked at from here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import trio

from penstock.config.reading import PenstockConfig
from penstock.run.figures import figures_of
from penstock.run.health import Health
from penstock.run.parts import RunExplanation, RunParts
from penstock.run.reconfiguration import Reconfiguration
from penstock.run.reconfiguring import another_config, reconfigure
from penstock.run.watch import RunWatch
from penstock.scheduler.interface import TaskInterface
from penstock.words.capacity import CapacityValue
from penstock.words.capacity_plan import AsyncCapacityPlan
from penstock.words.report import RunFigures, RunReport

__all__ = ["Scheduler"]


class Scheduler(TaskInterface):
    """The scheduler of a run, with the run's request gate and plugins beside it. Made by `penstock.open_scheduler`."""

    def __init__(self, parts: RunParts, watch: RunWatch) -> None:
        super().__init__(parts.tasks)
        self._parts = parts
        self.run_id = parts.run_id
        self.requests = parts.requests
        """The request gate: `acquire`, `attempt`, `execute`, `register`, `pressure`."""
        self.plugins = parts.plugins
        self.scheduler_events = parts.scheduler_events
        self.request_events = parts.request_events
        self.watch = watch
        """What goes on beside the loop."""
        self.report: RunReport | None = None
        """What the run came to; there once the block has ended."""

    # -- the run

    def signal(self, name: str) -> None:
        """The signal `name`, to both gates: what was refused until `Signal(name)` is asked again."""
        self._tasks.signal(name)
        self.requests.signal(name)

    def reconfigure(
        self,
        config: PenstockConfig | Mapping[str, Any] | Path | str | None = None,
        *,
        plugins: Iterable[object] | None = None,
    ) -> Reconfiguration:
        """What has changed by another configuration, or other plugins, while the run goes on.

        Limiters and policies of plugins that are what they were stay with all that they know, and a limiter whose
        `Config` changed takes over if it can. Whatever waits is asked again. Leases that are out end with the limiters
        that granted them, or with those that took over. Caps, limits and the figures of `[scheduler]` and `[requests]`
        may change; `seed`, the ready queue, the waiters, the runner and the sinks may not.

        Raises `ConfigError` with every problem, of a task or call that could then never go as well, or `PluginError`;
        then nothing has changed.
        """
        self._tasks.loop.check_thread()
        loaded = None if config is None else another_config(config)
        return reconfigure(self._parts, self.watch.change_to, loaded, plugins)

    # -- looking

    def explain(self, group: str | None = None) -> str:
        """What everything that is left waits for, at both gates, in words; or what one group of tasks waits for.

        This and the other looks raise `RuntimeError` in another thread than the run's.
        """
        self._tasks.loop.check_thread()
        return self._parts.explain(group)

    def explanation(self, group: str | None = None) -> RunExplanation:
        """What every group of tasks, or one, waits for, what calls wait for (`requests`), and what plugins in shadow
        would have done; as records."""
        self._tasks.loop.check_thread()
        return self._parts.explanation(group)

    def capacity_plan(self) -> AsyncCapacityPlan:
        """What limits the run: what is configured, with who says it; what holds now; and the most at once so far. As
        records; in words by `str`."""
        self._tasks.loop.check_thread()
        return self._parts.capacity.plan(trio.current_time())

    def declare_capacity(
        self,
        *,
        transport_use: Callable[[], Mapping[str, int]] | None = None,
        **figures: CapacityValue | Mapping[str, CapacityValue],
    ) -> None:
        """What the program says of its run, for the capacity plan: `buffer_size` and `row_group_admission`, and by name
        `transport_pool_limits` and `program`, what else it bounds. `transport_use` gives the most connections that each
        pool has had open. What was declared before under the same name is replaced. Raises `ConfigError`.
        """
        self._parts.capacity.declare(figures, transport_use)

    def figures(self) -> RunFigures:
        """The run's figures: limits, what is in flight, who waits and why; as records."""
        self._tasks.loop.check_thread()
        return figures_of(self._parts)

    def health(self) -> Health:
        """How the run is: what is queued and in flight, who waits longest, whether the loop keeps up."""
        self._tasks.loop.check_thread()
        return self.watch.health()
