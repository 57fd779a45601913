"""The competitor's scheduler end to end: a dataset of columns that do nothing."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

from data_designer.config.column_configs import GenerationStrategy
from data_designer.config.scheduling import SchedulingMetadata
from data_designer.engine.dataset_builders.async_scheduler import AsyncTaskScheduler
from data_designer.engine.dataset_builders.scheduling.completion import CompletionTracker
from data_designer.engine.dataset_builders.utils.execution_graph import ExecutionGraph

from penstock_bench.competitor_side.progress import Progress

__all__ = ["columns"]


class _Generator:
    """A column generator as the scheduler uses one; its cells cost nothing."""

    is_order_dependent = False
    config = SimpleNamespace(side_effect_columns=[])

    def __init__(self, progress: Progress, name: str, cells: int) -> None:
        self._progress = progress
        self._cells = cells
        self._metadata = SchedulingMetadata.local(name)

    def get_scheduling_metadata(self) -> Any:
        return self._metadata

    async def agenerate(self, data: dict[str, Any]) -> dict[str, Any]:
        if not self._progress.units:  # all that was done before the first was for all, on both sides
            self._progress.enqueued(self._cells)
        self._progress.units += 1
        return data


class _NoSink:
    """Takes every event, and does nothing with it."""

    def emit_scheduler_event(self, event: object) -> None:
        pass


def columns(progress: Progress, *, columns: int, rows: int, sink: bool = False) -> None:
    """Fill `columns` × `rows` cells that need nothing of each other. A unit is one cell."""
    logging.disable(logging.ERROR)
    names = [f"column-{number}" for number in range(columns)]
    graph = ExecutionGraph()
    for name in names:
        graph.add_column(name, GenerationStrategy.CELL_BY_CELL)
    row_groups = [(0, rows)]
    tracker = CompletionTracker.with_graph(graph, row_groups)

    async def run() -> None:
        scheduler = AsyncTaskScheduler(
            {name: _Generator(progress, name, columns * rows) for name in names},
            graph,
            tracker,
            row_groups,
            scheduler_event_sink=_NoSink() if sink else None,
        )
        progress.begin()
        await scheduler.run()

    asyncio.run(run())
    if progress.units != columns * rows:
        raise RuntimeError(f"{progress.units} of {columns * rows} cells were filled")
