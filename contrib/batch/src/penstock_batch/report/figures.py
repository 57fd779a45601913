"""The figures of a run, from its samples: what tables and charts show. Pure.

Samples are moments. What a run did between two of them is the difference of their counts, and what held in between is
taken to be what held at the later one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import attrs

from penstock_batch.store.samples import ModelSample, RunRecord, Sample, StepSample

__all__ = ["RunFigures", "StepWait", "figures_of"]

MOST_POINTS: Final = 600
"""Of one line in a chart: more than a screen has places for."""

Points = list[dict[str, Any]]


@attrs.frozen
class StepWait:
    """How the cells of a step waited: seconds in the mean, and the most that waited at a moment."""

    seconds: float | None
    most: int


@attrs.frozen(kw_only=True)
class RunFigures:
    """The figures of one run. `models` and `steps` are as they stood in the end; the others are over time, a record
    for each point of a chart. `limits` are seconds by what limited the run.
    """

    seconds: float
    rows: int
    rows_done: int
    rows_failed: int
    models: Mapping[str, ModelSample]
    steps: Mapping[str, StepSample]
    limits: Mapping[str, float]
    waits: Mapping[str, StepWait]
    pressure: Points
    refusals: Points
    tokens: Points
    money: Points
    waiting: Points
    held: Points
    processor: Points

    @property
    def cost(self) -> float | None:
        """What the run cost; `None` where no model has a price."""
        costs = [model.cost for model in self.models.values() if model.cost is not None]
        return sum(costs) if costs else None


def figures_of(record: RunRecord, samples: Iterable[Sample]) -> RunFigures:
    """The figures of a run with these samples, given in their order. One without any has none but its limits."""
    every = list(samples)
    last = every[-1] if every else Sample(at=0.0)
    shown = _thinned(every)
    return RunFigures(
        seconds=last.at if record.ended is None else record.ended - record.started,
        rows=last.rows,
        rows_done=last.rows_done,
        rows_failed=last.rows_failed,
        models=last.models,
        steps=last.steps,
        limits=record.limits or _limits(every),
        waits={step: _wait(step, every) for step in last.steps},
        pressure=list(_pressure(shown)),
        refusals=_refusals(shown),
        tokens=[point for sample in shown for point in _tokens(sample)],
        money=[
            {"at": sample.at, "model": name, "cost": model.cost}
            for sample in shown
            for name, model in sample.models.items()
            if model.cost is not None
        ],
        waiting=[
            {"at": sample.at, "step": name, "waiting": step.waiting}
            for sample in shown
            for name, step in sample.steps.items()
        ],
        held=_held(every),
        processor=[{"at": sample.at, "share": sample.processor} for sample in shown],
    )


def _thinned(samples: Sequence[Sample]) -> list[Sample]:
    """Some of the samples, evenly, with the last; all if they are few."""
    stride = -(-len(samples) // MOST_POINTS)
    return list(samples[(len(samples) - 1) % stride :: stride]) if samples else []


def _limits(samples: Sequence[Sample]) -> dict[str, float]:
    found: dict[str, float] = {}
    for before, sample in pairwise([Sample(at=0.0), *samples]):
        if sample.limited_by:
            found[sample.limited_by] = found.get(sample.limited_by, 0.0) + sample.at - before.at
    return found


def _wait(step: str, samples: Sequence[Sample]) -> StepWait:
    """By Little's law: what waited, added up over time, is shared by those that came through."""
    waited = sum(
        sample.steps[step].waiting * (sample.at - before.at)
        for before, sample in pairwise([Sample(at=0.0), *samples])
        if step in sample.steps
    )
    last = samples[-1].steps[step]
    through = last.done + last.failed
    most = max(sample.steps[step].waiting for sample in samples if step in sample.steps)
    return StepWait(waited / through if through else None, most)


def _pressure(samples: Sequence[Sample]) -> Iterable[dict[str, Any]]:
    for sample in samples:
        for name, model in sample.models.items():
            limit = model.cap if model.limit is None else min(model.limit, model.cap)
            for what, count in (("limit", limit), ("in flight", model.in_flight)):
                yield {"at": sample.at, "model": name, "what": what, "count": count}


def _refusals(samples: Sequence[Sample]) -> Points:
    return [
        {"at": sample.at, "model": name, "count": count}
        for before, sample in pairwise([Sample(at=0.0), *samples])
        for name, model in sample.models.items()
        if (count := model.limited - before.models.get(name, ModelSample()).limited)
    ]


def _tokens(sample: Sample) -> Points:
    return [
        {"at": sample.at, "model": name, "what": what, "tokens": tokens}
        for name, model in sample.models.items()
        for what, tokens in (("in", model.input_tokens), ("out", model.output_tokens))
    ]


def _held(samples: Sequence[Sample]) -> Points:
    """The stretches of time in which one and the same thing limited the run."""
    found: Points = []
    for before, sample in pairwise([Sample(at=0.0), *samples]):
        if found and found[-1]["what"] == sample.limited_by:
            found[-1]["until"] = sample.at
        elif sample.limited_by:
            found.append({"at": before.at, "until": sample.at, "what": sample.limited_by})
    return found
