"""The tallies of a run: counters that the cells keep, and that progress and summary read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import attrs

from penstock_batch.pipeline.steps import Step
from penstock_batch.providers.models import StepModel

__all__ = ["MOST_REASONS", "ModelTally", "StepTally", "Tallies"]

MOST_REASONS: Final = 50
"""So many different ones are counted."""


@attrs.define
class StepTally:
    """The cells of one step: `before` were kept when the run began, `empty` are those that their rows do not want,
    `dropped` are those that are not done since another of their row failed; `at_work` are those whose call is in flight
    or whose function runs. `inside` are the seconds for which the event loop was within the step's function; `cost` is
    what this run has paid, `None` where its model has no price. `rows` are those of its stage, `None` while they are
    not known.
    """

    rows: int | None = None
    before: int = 0
    empty: int = 0
    done: int = 0
    failed: int = 0
    dropped: int = 0
    cut_short: int = 0
    asked_again: int = 0
    """Answers that were asked for in the place of one that was not accepted."""
    calls: int = 0
    """The calls that went out for several cells each, or for those that were to be several."""
    at_work: int = 0
    sampled: int = 0
    """The cells that are getting several samples, each of which is at work by itself."""
    samples_left: int = 0
    """The samples that these have not got yet."""
    inside: float = 0.0
    cost: float | None = None

    @property
    def over(self) -> int:
        """The cells of which no more is to come."""
        return self.before + self.empty + self.done + self.failed + self.dropped

    @contextmanager
    def working(self, cells: int = 1) -> Iterator[None]:
        """A block in which so many cells are at work."""
        self.at_work += cells
        try:
            yield
        finally:
            self.at_work -= cells

    @contextmanager
    def sampling(self, samples: int) -> Iterator[Callable[[], None]]:
        """A block in which a cell gets so many samples; what the block is given is to be called after each."""
        left = samples
        self.sampled += 1
        self.samples_left += left

        def over() -> None:
            nonlocal left
            left -= 1
            self.samples_left -= 1

        try:
            yield over
        finally:
            self.sampled -= 1
            self.samples_left -= left

    def waiting(self, could_do: int, samples: int = 1) -> int:
        """What of the step could be at work and is not: calls or functions, where so many cells, each of so many
        samples, have all that they need and are not over.
        """
        return (could_do - self.sampled) * samples + self.samples_left - self.at_work

    @contextmanager
    def in_loop(self) -> Iterator[None]:
        """A block in which the event loop is within the step's function."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.inside += time.perf_counter() - began


@attrs.define
class ModelTally:
    """The calls to one model: how many were made, how many are in flight, how they ended; moments of the run's
    clock.
    """

    calls: int = 0
    in_flight: int = 0
    answered: int = 0
    limited: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    first_call_at: float | None = None
    last_answer_at: float | None = None


@attrs.define
class Tallies:
    """The counters of a whole run. `rows` are those of the stage that it is at, from 1 `of_stages`; `rows_done` and
    `rows_failed` those of them that have ended. `models` are counted where they are called: one with endpoints at each
    of them.
    """

    rows: int
    steps: Mapping[str, StepTally]
    models: Mapping[str, ModelTally]
    rows_done: int = 0
    rows_failed: int = 0
    stage: int = 0
    of_stages: int = 1
    failed_before: int = 0
    """Rows that have failed in the stages before."""
    reasons: dict[str, int] = attrs.field(factory=dict)
    """Rows by why they failed; of many reasons the first, and the others together."""

    def begin(self, stage: int, steps: Iterable[Step], rows: int, failed_before: int = 0) -> None:
        """Begin a stage, counted from 1, of these steps and with this many rows, of which none has ended."""
        self.stage = stage
        self.failed_before = failed_before
        self.rows, self.rows_done, self.rows_failed = rows, 0, 0
        for tally in self.steps.values():
            if tally.rows is not None:
                tally.rows = tally.over
        for step in steps:
            self.steps[step.name].rows = rows

    def row_failed(self, step: str | None, reason: str, rows: int = 1) -> None:
        """Count why a row failed, or so many did, at which step if at one."""
        words = reason if step is None else f"{step}: {reason}"
        if words not in self.reasons and len(self.reasons) >= MOST_REASONS:
            words = "other reasons"
        self.reasons[words] = self.reasons.get(words, 0) + rows

    @property
    def cost(self) -> float | None:
        """What this run has paid; `None` where no model has a price."""
        costs = [model.cost for model in self.models.values() if model.cost is not None]
        return sum(costs) if costs else None

    def paid(self, step: str, model: str, cost: float | None) -> None:
        """Count what an answer has cost."""
        for tally in (self.steps[step], self.models[model]):
            tally.cost = tally.cost if cost is None else (tally.cost or 0.0) + cost

    @classmethod
    def for_steps(cls, steps: Iterable[Step], of_stages: int = 1) -> Tallies:
        """The counters before the first stage."""
        found = list(steps)
        places = [place for step in found for model in step.models for place in model.served]
        models = {place.name: ModelTally(cost=_nothing(place)) for place in places}
        return cls(0, {step.name: StepTally(cost=_nothing(step.model)) for step in found}, models, of_stages=of_stages)


def _nothing(model: StepModel | None) -> float | None:
    """What a model has cost before its first call."""
    return None if model is None or model.prices is None else 0.0
