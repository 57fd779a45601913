"""What a batch says of its run for the capacity plan: how rows are read, how many are in memory, and what its clients
and threads are bounded by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from penstock import CapacityValue, Scheduler
from penstock_batch.pipeline.config import WORKERS, BatchConfig
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.pipeline.steps import Step
from penstock_batch.running.text_room import GROUP, ROWS, row_group_size, rows_in_flight

__all__ = ["declare_capacity"]

_ONE_BY_ONE: Final = "rows are let in one by one: batch.rows_in_flight bounds them, and not their groups"
_DEFAULTS: Final = {"row_group_size": GROUP, "rows_in_flight": ROWS, "rows_waiting": BatchConfig().rows_waiting}
_NO_POOL: Final = "the batch's clients open a connection for each call that its cap lets out"


def declare_capacity(scheduler: Scheduler, pipeline: Pipeline) -> None:
    """Tell the scheduler of a run by this pipeline."""
    scheduler.declare_capacity(
        buffer_size=_of_batch(pipeline, "row_group_size", row_group_size(pipeline.batch, pipeline.steps)),
        row_group_admission=CapacityValue(None, "dataset_builder", missing_reason=_ONE_BY_ONE),
        transport_pool_limits={
            name: CapacityValue(None, "adapter_config", missing_reason=_NO_POOL) for name in pipeline.config.providers
        },
        program=dict(_program(pipeline)),
    )


def _program(pipeline: Pipeline) -> Mapping[str, CapacityValue]:
    rows = rows_in_flight(pipeline.batch, pipeline.steps)
    threads = {
        f"threads of step {step.name}": _workers(pipeline, step)
        for step in pipeline.steps
        if step.kind == "python" and step.thread
    }
    return {
        "rows in memory that can go on": _of_batch(pipeline, "rows_in_flight", rows),
        "rows in memory that wait for a provider": _of_batch(pipeline, "rows_waiting", pipeline.batch.rows_waiting),
        **threads,
    }


def _workers(pipeline: Pipeline, step: Step) -> CapacityValue:
    key = f"workers of step {step.name}"
    if step.workers == WORKERS:
        return CapacityValue(step.workers, "default", key)
    return CapacityValue(step.workers, "run_config", where=_place(pipeline, key))


def _of_batch(pipeline: Pipeline, key: str, value: int) -> CapacityValue:
    """A figure of `[batch]`; one that is not said there is the default, or follows from the steps."""
    given = getattr(pipeline.batch, key)
    if value == _DEFAULTS[key] and given in (None, value):
        return CapacityValue(value, "default", f"batch.{key}")
    if given == value:
        return CapacityValue(value, "run_config", where=_place(pipeline, f"batch.{key}"))
    return CapacityValue(value, "dataset_builder", f"batch.{key}", where="what the steps need")


def _place(pipeline: Pipeline, key: str) -> str:
    return f"{'the program' if pipeline.path is None else pipeline.path}: {key}"
