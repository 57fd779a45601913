"""The runners of a run by name, which of them a task gets, and whose fault it is where one fails.

What a runner raises is the task's own outcome, as far as the two can be distinguished; only that task ends by it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from inspect import isawaitable
from math import inf
from traceback import walk_tb
from typing import Any, Final

import attrs
import trio

from penstock.config.words import did_you_mean, probably_meant
from penstock.scheduler.places import CountedTaskRunner, RunnerStanding
from penstock.scheduler.runner import LeavingTaskRunner, TaskRunner
from penstock.tasks.lease import TaskAdmissionLease
from penstock.tasks.records import SchedulableTask, TaskGroupSpec
from penstock.words.checks import a_name
from penstock.words.errors import ConfigError, PluginError
from penstock.words.plugin_failures import OnPluginFailure, PluginMaker, unheard, what_it_raised

__all__ = ["NURSERY", "NamedRunner", "TaskRunners"]

NURSERY: Final = "nursery"
"""The name of the core's own runner."""

RUNNER: Final = "penstock_task_runner"

REMEMBERED_GROUPS: Final = 1024
"""How many groups of tasks are remembered, for a hint."""


@attrs.frozen(eq=False)
class NamedRunner:
    """A runner with its name, and the plugin that made it."""

    name: str
    runner: TaskRunner
    maker: PluginMaker
    on_failure: OnPluginFailure = unheard

    def check(self, fn: Callable[..., Any], args: Sequence[Any]) -> None:
        """Raises `ConfigError` for what it cannot run, and `PluginError` where it cannot even look."""
        try:
            self.runner.check(fn, args)
        except ConfigError as error:
            raise ConfigError(f"runner {self.name!r}: {error}") from None
        except BaseException as error:
            raise self.failed(error, "check", self.runner.check) from error

    async def run(self, task: SchedulableTask, lease: TaskAdmissionLease) -> Any:
        """What the runner makes of a task. Raises what the task raises, and `PluginError` for what the runner did.

        An ordinary exception is the task's, as the protocol says, and so is `KeyboardInterrupt`: tasks are not
        protected from a Ctrl+C. Anything else is the task's own where the task's function is in its traceback.
        """
        runner = self.runner
        try:
            begun = runner.run(task, lease)
            if not isawaitable(begun):
                raise PluginError(self.maker.name, f"run must be an async function; it returned {type(begun).__name__}")
        except BaseException as error:
            raise self.failed(error, "run", runner.run) from error
        try:
            return await begun
        except (Exception, trio.Cancelled, KeyboardInterrupt):
            raise
        except BaseException as error:
            if issubclass(type(error), BaseExceptionGroup) or _ran_in(error, task.payload):
                raise
            raise self.failed(error, "run", runner.run) from error

    def failed(self, error: BaseException, what: str, function: Callable[..., Any]) -> PluginError:
        """The error of whoever met a runner that failed, which is reported too."""
        self.on_failure(self.maker.name, f"{RUNNER}.{what}", error, function)
        return PluginError(self.maker.name, f"its runner: {what_it_raised(error, function)}")


class TaskRunners:
    """The runners beside the scheduler's own nursery, by name. `by_group` maps groups, as `str(key)`, to names."""

    def __init__(self, runners: Sequence[NamedRunner] = ()) -> None:
        self.named: Mapping[str, NamedRunner] = {each.name: each for each in runners}
        self.by_group: Mapping[str, str] = {}
        self._groups: set[str] = set()
        """The groups whose tasks were looked up, the first of them: by them a misspelt one is known."""

    @classmethod
    def of(cls, runners: Mapping[str, TaskRunner]) -> TaskRunners:
        """Those that a loop outside a run is given, as plugins named by their classes."""
        return cls([NamedRunner(name, each, PluginMaker(type(each).__name__)) for name, each in runners.items()])

    def find(self, name: str | None, group: TaskGroupSpec) -> NamedRunner | None:
        """The runner of that name, or else of the group; `None` is the nursery. Raises `ConfigError` for a name that no
        runner has.
        """
        if name is None:
            if not self.by_group:
                return None
            identity = str(group.key)
            if len(self._groups) < REMEMBERED_GROUPS:
                self._groups.add(identity)
            name = self.by_group.get(identity)
            if name is None:
                return None
        elif a_name(name, "runner") not in self.named and name != NURSERY:
            raise ConfigError(f"runner: no runner is called {name!r}; {did_you_mean(name, [NURSERY, *self.named])}")
        return self.named.get(name)

    def misspelt_groups(self) -> list[str]:
        """The groups of `[scheduler.runners]` that no task had, though tasks had one of nearly that name; in words."""
        found = []
        for group in self.by_group:
            meant = None if group in self._groups else probably_meant(group, self._groups - self.by_group.keys())
            if meant is not None:
                found.append(f"scheduler.runners names {group!r}, which no task had; did you mean {meant!r}?")
        return found

    def standings(self, now: float) -> dict[str, RunnerStanding]:
        """How those runners stand that count their workers, by name."""
        found = {}
        for each in self.named.values():
            if isinstance(each.runner, CountedTaskRunner):
                try:
                    found[each.name] = each.runner.standing(now)
                except BaseException as error:
                    each.failed(error, "standing", each.runner.standing)
        return found

    def leave(self) -> None:
        """The run ends: runners that cannot end what they carry out may leave it."""
        for each in self.named.values():
            if isinstance(each.runner, LeavingTaskRunner):
                try:
                    each.runner.leave()
                except BaseException as error:
                    each.failed(error, "leave", each.runner.leave)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """A block in which all are open. Raises `PluginError` for one that cannot be opened or closed."""
        async with AsyncExitStack() as stack:
            for each in self.named.values():
                if isinstance(each.runner, AbstractAsyncContextManager):
                    await stack.enter_async_context(_Opened(each, each.runner))
            yield


class _Opened:
    """The block of one runner: what its ends raise names the plugin."""

    def __init__(self, named: NamedRunner, manager: AbstractAsyncContextManager[Any]) -> None:
        self._named = named
        self._manager = manager

    async def __aenter__(self) -> None:
        await self._guarded("__aenter__", self._manager.__aenter__)

    async def __aexit__(self, *error: Any) -> None:
        await self._guarded("__aexit__", partial(self._manager.__aexit__, *error))

    async def _guarded(self, what: str, function: Callable[[], Any]) -> None:
        try:
            await function()
        except (KeyboardInterrupt, ConfigError):
            raise
        except BaseException as error:
            if issubclass(type(error), trio.Cancelled) and trio.current_effective_deadline() == -inf:
                raise  # else it is the runner's own
            raise self._named.failed(error, what, getattr(self._manager, what)) from error


def _ran_in(error: BaseException, fn: Any) -> bool:
    """Whether the code of a function is in an error's traceback."""
    while isinstance(fn, partial):
        fn = fn.func
    code = getattr(fn, "__code__", None)
    return any(frame.f_code is code for frame, _ in walk_tb(error.__traceback__))
