"""The plugin whose ready queue the scheduler calls: what it raises is reported here, and ends the run, since without it
nothing can be decided.
"""

from __future__ import annotations

from typing import Final

import attrs

from penstock.tasks.queue import FifoTaskQueue
from penstock.tasks.ready_queue import ReadyQueue
from penstock.words.plugin_failures import (
    BrokenQueue,
    OnPluginFailure,
    PluginMaker,
    passed_through,
    unheard,
    what_it_raised,
)

__all__ = ["GatePlugins"]

QUEUE: Final = "penstock_ready_queue"

_CALLED_BACK: Final = ("is_eligible", "agrees")
"""The core's functions that a queue calls."""


@attrs.frozen(kw_only=True)
class GatePlugins:
    """Whose the `queue` of the task gate is; `on_failure` is called with what it raises."""

    queue: PluginMaker = attrs.field(factory=PluginMaker)
    on_failure: OnPluginFailure = unheard

    @classmethod
    def of(cls, queue: ReadyQueue) -> GatePlugins:
        """That which a loop outside a run is given, named by its class."""
        return cls(queue=PluginMaker() if type(queue) is FifoTaskQueue else PluginMaker(type(queue).__name__))

    def run_error(self, error: BaseException, queue: ReadyQueue) -> BaseException:
        """An error of the loop as the run is to end with it: what the ready queue raised names the queue's plugin."""
        if issubclass(type(error), BrokenQueue):
            self.on_failure(self.queue.name, QUEUE, error, queue.select_next)
            return error
        owners = (queue, getattr(getattr(queue, "choose", None), "__self__", queue))  # or an order of lanes
        if self.queue.name == "core" or not any(passed_through(error, each, *_CALLED_BACK) for each in owners):
            return error
        self.on_failure(self.queue.name, QUEUE, error)
        broken = self.queue.error(f"its ready queue: {what_it_raised(error)}; nothing more can start")
        broken.__cause__ = error
        return broken
