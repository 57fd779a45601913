"""The workers of a runner, counted: so many tasks at a time, the others in order of arrival, and figures of both."""

from __future__ import annotations

from collections import OrderedDict
from types import TracebackType
from typing import Any, Final, Protocol, runtime_checkable

import attrs
import trio

from penstock.words.checks import whole_number

__all__ = ["CountedTaskRunner", "RunnerStanding", "WorkerPlaces"]

NAMED: Final = 10
"""How many of the tasks that have run longest are named."""


@attrs.frozen(kw_only=True)
class RunnerStanding:
    """A runner at one moment; durations in seconds.

    `workers`       how many tasks it carries out at a time, and `busy`, how many it does now
    `waiting`       tasks that were admitted and wait for a worker, and `longest_wait`, since when the first of them
    `starved`       for how long in the whole run tasks have waited while all workers were busy
    `running`       task to how long a worker has had it: the ten that have run longest, the longest first
    `cancelled`     task to how long ago it was cancelled, of those that have not ended since
    """

    workers: int
    busy: int
    waiting: int = 0
    longest_wait: float = 0.0
    starved: float = 0.0
    running: dict[str, float] = attrs.field(factory=dict)
    cancelled: dict[str, float] = attrs.field(factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, JSON-safe."""
        return attrs.asdict(self)

    def __str__(self) -> str:
        text = f"{self.busy} of {self.workers} workers busy"
        if self.waiting:
            text += f", {self.waiting} tasks wait, the first for {self.longest_wait:.1f} s"
        if self.starved:
            text += f"; tasks have waited for {self.starved:.1f} s in all"
        for task_id, ago in self.cancelled.items():
            text += f"; task {task_id!r} was cancelled {ago:.1f} s ago and has not ended"
        longest = next((pair for pair in self.running.items() if pair[0] not in self.cancelled), None)
        if longest is not None:
            text += f"; task {longest[0]!r} has run longest, for {longest[1]:.1f} s"
        return text


@runtime_checkable
class CountedTaskRunner(Protocol):
    """A runner that tells how it stands, in `health` and `explain`."""

    def standing(self, now: float) -> RunnerStanding:
        """How it stands at this moment of the run's clock. It changes nothing."""


class WorkerPlaces:
    """Places for tasks at the workers of one runner: `async with places.place(task_id):`.

    Whoever finds none waits, first come, first served. Raises `ConfigError` for a number that is no whole one from 1
    on.
    """

    def __init__(self, workers: int) -> None:
        self._workers = whole_number(workers, "workers")
        self._waiting: OrderedDict[Place, tuple[trio.lowlevel.Task, float]] = OrderedDict()
        self._running: dict[str, float] = {}
        self._cancelled: dict[str, float] = {}
        self._starved = 0.0
        self._starving_since = 0.0
        """Since when somebody waits, while somebody does: nobody waits unless all workers are busy."""

    def place(self, task_id: str) -> Place:
        """A block in which a task has a worker."""
        return Place(self, task_id)

    def cancelled(self, task_id: str) -> None:
        """Note that a task was cancelled and has not ended yet."""
        self._cancelled[task_id] = trio.current_time()

    def standing(self, now: float) -> RunnerStanding:
        """The figures at this moment."""
        waits = [now - since for _, since in self._waiting.values()]
        starving = now - self._starving_since if waits else 0.0
        by_age = sorted(self._running.items(), key=lambda pair: pair[1])[:NAMED]
        return RunnerStanding(
            workers=self._workers,
            busy=len(self._running),
            waiting=len(self._waiting),
            longest_wait=max(waits, default=0.0),
            starved=self._starved + starving,
            running={task_id: now - since for task_id, since in by_age},
            cancelled={task_id: now - at for task_id, at in self._cancelled.items()},
        )

    # -- what a place does

    async def take(self, place: Place) -> None:
        """A worker for the place, as soon as it is its turn."""
        await trio.lowlevel.checkpoint_if_cancelled()
        now = trio.current_time()
        if len(self._running) < self._workers:
            self._running[place.task_id] = now
            return

        def abort(_: object) -> trio.lowlevel.Abort:
            self._stop_waiting(place, trio.current_time())
            return trio.lowlevel.Abort.SUCCEEDED

        if not self._waiting:
            self._starving_since = now
        self._waiting[place] = trio.lowlevel.current_task(), now
        await trio.lowlevel.wait_task_rescheduled(abort)  # until `give_back` has made it the place's turn

    def give_back(self, place: Place) -> None:
        """The end of the task at its worker, which the next one gets."""
        del self._running[place.task_id]
        self._cancelled.pop(place.task_id, None)
        if self._waiting:
            now = trio.current_time()
            following, (task, _) = next(iter(self._waiting.items()))
            self._stop_waiting(following, now)
            self._running[following.task_id] = now
            trio.lowlevel.reschedule(task)

    def _stop_waiting(self, place: Place, now: float) -> None:
        del self._waiting[place]
        if not self._waiting:
            self._starved += now - self._starving_since


class Place:
    """The place of one task at a worker; good for one use."""

    def __init__(self, places: WorkerPlaces, task_id: str) -> None:
        self._places = places
        self.task_id = task_id

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> None:
        await self._places.take(self)

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._places.give_back(self)
