"""The group of a step's tasks: by what it is weighed, and which providers it is held back for."""

from __future__ import annotations

import penstock
from penstock import RequestResourceKey, SchedulingMetadata
from penstock_batch.pipeline.steps import Step
from penstock_batch.running.text_room import puts_together

__all__ = ["task_group_of"]


def task_group_of(step: Step, config: penstock.PenstockConfig) -> penstock.TaskGroupSpec:
    """The group of a step. One that calls a model has as much weight as it may have calls; where several endpoints
    serve the model, its tasks call one of them; where several texts go in one call, a task is none.
    """
    resolver = penstock.TaskSchedulingResolver(config.scheduler.admitted_limits)
    metadata = _metadata(step)
    # Where texts are put together, the name of the step is a part of the metadata.
    flow = () if step.model is None or puts_together(step) else (step.name,)
    return resolver.resolve(metadata, flow=flow).group


def _metadata(step: Step) -> SchedulingMetadata:
    model = step.model
    if model is None:
        return SchedulingMetadata.local(step.name)
    weight = float(model.max_parallel_requests)
    if puts_together(step):
        return SchedulingMetadata.custom_model("penstock_batch", step.name, weight=weight)
    if not model.places:
        return SchedulingMetadata.model(model.provider, model.model_id, step.kind, weight)
    calls = [RequestResourceKey(each.provider, each.model_id, step.kind) for each in model.places]
    return SchedulingMetadata.custom_model("endpoints", model.name, step.kind, weight, calls, alike=True)
