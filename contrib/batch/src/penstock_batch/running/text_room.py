"""Room for the texts of steps that put several into a call: enough that its calls are full, and nobody else's. Pure.

Elsewhere the task gate lets a cell go when its call could go out soon, so that a provider in trouble holds no places
that others could use. Texts that are to go together must wait together, before there is a place for their call. So each
row in memory has a place for its text, which no other step has use for, and as many rows are in memory as all calls of
the model hold and one call more. Rows are read by whole calls: so calls are full also where nothing holds them back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from penstock import PenstockConfig
from penstock_batch.pipeline.config import BatchConfig
from penstock_batch.pipeline.steps import Step

__all__ = ["GROUP", "ROWS", "needs_of", "puts_together", "row_group_size", "rows_in_flight", "with_room"]

ROWS: Final = 1000
"""Rows in flight where nothing is said, and no step needs more."""

MOST_ROWS: Final = 10_000
"""Rows in flight that a step may have where nothing is said: an untold number of them is no bound on memory."""

GROUP: Final = 100
"""Rows that are read together where nothing is said, and no call holds more."""


def puts_together(step: Step) -> bool:
    """Whether the cells of a step go several in one call."""
    return step.model is not None and step.batch_size > 1


def _texts(step: Step) -> int:
    """The texts of a step that fill all its calls and one more; 0 where each has a call for itself."""
    return step.batch_size * (step.model.max_parallel_requests + 1) if step.model and step.batch_size > 1 else 0


def _resource(step: Step) -> str:
    return f"texts of {step.name}"


def rows_in_flight(batch: BatchConfig, steps: Iterable[Step]) -> int:
    """The rows in memory that can go on, at most."""
    if batch.rows_in_flight is not None:
        return batch.rows_in_flight
    return max(ROWS, min(MOST_ROWS, max(map(_texts, steps), default=0)))


def row_group_size(batch: BatchConfig, steps: Sequence[Step]) -> int:
    """The rows that are read and scheduled together."""
    size = batch.row_group_size
    if size is None:
        size = max(GROUP, max((step.batch_size for step in steps), default=0))
    return min(size, rows_in_flight(batch, steps))


def with_room(config: PenstockConfig, batch: BatchConfig, steps: Sequence[Step]) -> PenstockConfig:
    """The configuration with places for the texts of these steps, beside those that it has."""
    rows = rows_in_flight(batch, steps) + batch.rows_waiting
    places = {_resource(step): rows for step in steps if puts_together(step)}
    options = config.scheduler
    capacity = options.submission_capacity + sum(places.values())
    resources = {**options.resources, **places}
    return attrs.evolve(config, scheduler=attrs.evolve(options, submission_capacity=capacity, resources=resources))


def needs_of(step: Step) -> Mapping[str, int] | None:
    """What a cell of a step needs at the task gate beside a place."""
    return {_resource(step): 1} if puts_together(step) else None
