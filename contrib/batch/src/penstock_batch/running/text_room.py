"""Room for the texts of steps that put several into a call: enough that its calls are full, and nobody else's. Pure.

Elsewhere the task gate lets a cell go when its call could go out soon, so that a provider in trouble holds no places
that others could use. Texts that are to go together must wait together, before there is a place for their call. So they
have places of their own, as many as all calls of the model hold and one call more, which no other step has use for; and
the rows that those texts are of must be in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from penstock import PenstockConfig, SchedulingMetadata
from penstock_batch.pipeline.config import BatchConfig
from penstock_batch.pipeline.steps import Step

__all__ = ["needs_of", "rows_in_flight", "scheduling_of", "with_room"]

ROWS: Final = 1000
"""Rows in flight where nothing is said, and no step needs more."""

MOST_ROWS: Final = 10_000
"""Rows in flight that a step may have where nothing is said: an untold number of them is no bound on memory."""


def _texts(step: Step) -> int:
    """The texts of a step that are out or wait for the next call, at most; 0 where each has a call for itself."""
    if step.model is None or step.batch_size == 1:
        return 0
    return step.batch_size * (step.model.max_parallel_requests + 1)


def _resource(step: Step) -> str:
    return f"texts of {step.name}"


def rows_in_flight(batch: BatchConfig, steps: Iterable[Step]) -> int:
    """The rows in memory that can go on, at most."""
    if batch.rows_in_flight is not None:
        return batch.rows_in_flight
    return max(ROWS, min(MOST_ROWS, max(map(_texts, steps), default=0)))


def with_room(config: PenstockConfig, steps: Iterable[Step]) -> PenstockConfig:
    """The configuration with places for the texts of these steps, beside those that it has."""
    places = {_resource(step): texts for step in steps if (texts := _texts(step))}
    options = config.scheduler
    capacity = options.submission_capacity + sum(places.values())
    resources = {**options.resources, **places}
    return attrs.evolve(config, scheduler=attrs.evolve(options, submission_capacity=capacity, resources=resources))


def needs_of(step: Step) -> Mapping[str, int] | None:
    """What a cell of a step needs at the task gate beside a place."""
    return {_resource(step): 1} if _texts(step) else None


def scheduling_of(step: Step) -> SchedulingMetadata:
    """What the task gate is told of a step: whose calls its cells are, where each is one."""
    model = step.model
    if model is None:
        return SchedulingMetadata.local(step.name)
    weight = float(model.max_parallel_requests)
    if _texts(step):
        return SchedulingMetadata.custom_model("penstock_batch", step.name, weight=weight)
    return SchedulingMetadata.model(model.provider, model.model_id, step.kind, weight)
