"""Tasks that do nothing, end to end: through our scheduler, and through a bare nursery."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import attrs
import trio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import penstock
from penstock_bench.dispatch.driver import NoOpinion
from penstock_bench.measuring.records import Sample
from penstock_bench.measuring.stopwatch import start_clock
from penstock_otel import OtelConfig, OtelPlugin

__all__ = ["TaskCount", "bare_nursery", "columns", "columns_with_jsonl", "columns_with_otel", "trivial", "waiting"]


class TaskCount:
    """The number of tasks that were carried out, and when the one at the mark was."""

    def __init__(self, mark: int | None = None) -> None:
        self.done = 0
        self._mark = mark
        self._marked = 0.0
        self._started = 0.0
        self._first = 0.0

    def begin(self) -> None:
        """The clock runs from now on."""
        self._started = start_clock()

    async def task(self) -> None:
        """What every task does. What was done before the first was done for all: each bears its share of it."""
        if not self.done:
            self._first = perf_counter()
        self.done += 1
        if self.done == self._mark:
            self._marked = perf_counter()

    async def waiting_task(self) -> None:
        """The same of a task that waits once."""
        await trio.lowlevel.checkpoint()
        await self.task()

    def sample(self, tasks: int) -> Sample:
        """What they took, all of them."""
        took = perf_counter() - self._started
        assert self.done == tasks, f"{self.done} of {tasks} tasks were carried out"
        at_mark = None
        if self._mark is not None and self._marked:
            at_mark = (self._first - self._started) * self._mark / tasks + self._marked - self._first
        return Sample(tasks, took, amount_at_mark=at_mark)


def trivial(tasks: int, mark: int | None = None) -> Sample:
    """`tasks` tasks of one group, from the first that is handed in to the end of the run."""
    return columns(1, tasks, mark)


def waiting(tasks: int) -> Sample:
    """The same of tasks that wait once."""
    return columns(1, tasks, waits=True)


def columns(
    columns: int,
    rows: int,
    mark: int | None = None,
    config: Mapping[str, Any] | None = None,
    sinks: Iterable[object] = (),
    *,
    waits: bool = False,
) -> Sample:
    """`columns` × `rows` tasks, a group for each column; with the default plugins and a rule that does nothing."""

    async def run() -> Sample:
        count = TaskCount(mark)
        task = count.waiting_task if waits else count.task
        async with penstock.open_scheduler(config, plugins=[NoOpinion(), *sinks]) as scheduler:
            count.begin()
            for column in range(columns):
                name = f"column-{column}"
                for _ in range(rows):
                    scheduler.start_soon(task, group=name)
        return attrs.evolve(count.sample(columns * rows), capacity=scheduler.capacity_plan())

    return trio.run(run)


def columns_with_jsonl(number: int, rows: int, mark: int | None = None) -> Sample:
    """The same with every event written to a file, to its end."""
    with TemporaryDirectory() as folder:
        path = str(Path(folder, "events.jsonl"))
        return columns(number, rows, mark, {"plugins": {"sinks": ["jsonl"], "jsonl": {"path": path}}})


def columns_with_otel(number: int, rows: int, mark: int | None = None) -> Sample:
    """The same with metrics, which OpenTelemetry's SDK adds up in memory."""
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    try:
        return columns(number, rows, mark, sinks=[OtelPlugin(OtelConfig(), provider)])
    finally:
        provider.shutdown()


def bare_nursery(tasks: int, *, waits: bool = False) -> Sample:
    """A nursery that only spawns and reaps the same tasks."""

    async def run() -> Sample:
        count = TaskCount()
        task = count.waiting_task if waits else count.task
        count.begin()
        async with trio.open_nursery() as nursery:
            for _ in range(tasks):
                nursery.start_soon(task)
        return count.sample(tasks)

    return trio.run(run)
