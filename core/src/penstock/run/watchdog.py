"""Which task kept the loop from everything else, and for how long.

One thread runs everything, so a task that computes, or calls something that blocks, holds up all timers and all other
tasks meanwhile. A trio instrument measures each step of each task by the run's clock, a real one but in tests; our
workers bear the names of their tasks. It costs about a microsecond a step, so it is not on unless it is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import inf
from typing import Final

import attrs
import trio

__all__ = ["LongStep", "Watchdog"]

WARNED_NAMES: Final = 256
"""How many names are remembered as having been warned of."""

ADVICE: Final = 'give it a runner: runner="processes" where it computes, runner="threads" where it blocks'
"""What to do about a task that keeps the loop."""

PLUGIN_ADVICE: Final = "a plugin answers at once, from what it knows: let it look nothing up, and wait for nothing"
"""What to do about a plugin that does."""

_log: Final = logging.getLogger("penstock.watchdog")


@attrs.frozen
class LongStep:
    """The longest step of a time: whose it was, and how many seconds it took."""

    task: str
    seconds: float


class Watchdog(trio.abc.Instrument):
    """The instrument that measures steps: those longer than `threshold`, in seconds, are counted, and logged once for
    each task name. `blame` knows, where decisions are traced, which question to a plugin took most of the last so many
    seconds; a step in which one did is the plugin's, under its name and that of the hook.
    """

    def __init__(
        self,
        threshold: float,
        clock: Callable[[], float] = trio.current_time,
        blame: Callable[[float], tuple[str, str] | None] = lambda _: None,
    ) -> None:
        self._blame = blame
        self.times = 0
        """How many steps were longer than the threshold."""
        self.threshold = threshold
        self._clock = clock
        self._began = inf  # the step in which it is put in has no beginning
        self._longest: LongStep | None = None
        self._warned: set[str] = set()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began = self._clock()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        took = self._clock() - self._began
        if took > self.threshold:
            self._note(task.name, took)

    def _note(self, name: str, took: float) -> None:
        self.times += 1
        advice = ADVICE
        if (asked := self._blame(took)) is not None:
            name = f"{name}, asking plugin {asked[0]!r} in {asked[1]}"
            advice = PLUGIN_ADVICE
        if self._longest is None or took > self._longest.seconds:
            self._longest = LongStep(name, took)
        if name not in self._warned:
            if len(self._warned) >= WARNED_NAMES:
                self._warned.clear()
            self._warned.add(name)
            _log.warning(
                "task %r blocked the loop for %.2f s: nothing else could run meanwhile; %s", name, took, advice
            )

    def take(self) -> LongStep | None:
        """The longest step beyond the threshold since this was asked last."""
        longest, self._longest = self._longest, None
        return longest
