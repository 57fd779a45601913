"""The plugins whose own objects the scheduler calls, the ready queue and the runner: what they raise is reported here.

A queue that raises ends the run, since nothing can be decided without it. A runner that raises ends one task: what
comes out of it is the task's own outcome, as far as the two can be distinguished.
"""

from __future__ import annotations

from functools import partial
from inspect import isawaitable
from traceback import walk_tb
from typing import Any, Final

import attrs
import trio

from penstock.scheduler.runner import TaskRunner
from penstock.tasks.lease import TaskAdmissionLease
from penstock.tasks.queue import FifoTaskQueue
from penstock.tasks.ready_queue import ReadyQueue
from penstock.tasks.records import SchedulableTask
from penstock.words.errors import PluginError
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
RUNNER: Final = "penstock_task_runner.run"


@attrs.frozen(kw_only=True)
class GatePlugins:
    """Whose the `queue` and the `runner` of the task gate are; `on_failure` is called with what they raise."""

    queue: PluginMaker = attrs.field(factory=PluginMaker)
    runner: PluginMaker = attrs.field(factory=PluginMaker)
    on_failure: OnPluginFailure = unheard

    @classmethod
    def of(cls, queue: ReadyQueue, runner: TaskRunner | None) -> GatePlugins:
        """Those that a loop outside a run is given, named by their classes."""
        core = PluginMaker()
        return cls(
            queue=core if type(queue) is FifoTaskQueue else PluginMaker(type(queue).__name__),
            runner=core if runner is None else PluginMaker(type(runner).__name__),
        )

    def run_error(self, error: BaseException, queue: ReadyQueue) -> BaseException:
        """An error of the loop as the run is to end with it: what the ready queue raised names the queue's plugin."""
        if isinstance(error, BrokenQueue):
            self.on_failure(self.queue.name, QUEUE, error, queue.select_next)
            return error
        if self.queue.name == "core" or not passed_through(error, queue, callback="is_eligible"):
            return error
        self.on_failure(self.queue.name, QUEUE, error)
        broken = self.queue.error(f"its ready queue: {what_it_raised(error)}; nothing more can start")
        broken.__cause__ = error
        return broken

    async def run(self, runner: TaskRunner, task: SchedulableTask, lease: TaskAdmissionLease) -> Any:
        """What the runner makes of a task. Raises what the task raises, and `PluginError` for what the runner did.

        An ordinary exception is the task's, as the protocol says, and so is `KeyboardInterrupt`: tasks are not
        protected from a Ctrl+C. Anything else is the task's own where the task's function is in its traceback.
        """
        try:
            begun = runner.run(task, lease)
            if not isawaitable(begun):
                raise PluginError(
                    self.runner.name, f"run must be an async function; it returned {type(begun).__name__}"
                )
        except BaseException as error:
            raise self._failed(error, runner) from error
        try:
            return await begun
        except (Exception, trio.Cancelled, KeyboardInterrupt):
            raise
        except BaseException as error:
            if isinstance(error, BaseExceptionGroup) or _ran_in(error, task.payload):
                raise
            raise self._failed(error, runner) from error

    def _failed(self, error: BaseException, runner: TaskRunner) -> PluginError:
        self.on_failure(self.runner.name, RUNNER, error, runner.run)
        return PluginError(self.runner.name, f"its runner: {what_it_raised(error, runner.run)}")


def _ran_in(error: BaseException, fn: Any) -> bool:
    """Whether the code of a function is in an error's traceback."""
    while isinstance(fn, partial):
        fn = fn.func
    code = getattr(fn, "__code__", None)
    return any(frame.f_code is code for frame, _ in walk_tb(error.__traceback__))
