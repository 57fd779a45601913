"""The tallies of a run: counters that the cells keep, and that progress and summary read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from penstock_batch.pipeline.steps import Step

__all__ = ["ModelTally", "StepTally", "Tallies"]


@attrs.define
class StepTally:
    """The cells of one step: `before` were kept when the run began."""

    before: int = 0
    done: int = 0
    failed: int = 0
    cut_short: int = 0
    asked_again: int = 0
    """Answers that were asked for in the place of one that was not accepted."""


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
    first_call_at: float | None = None
    last_answer_at: float | None = None


@attrs.define
class Tallies:
    """The counters of a whole run. `rows` are those to be done; `rows_done` and `rows_failed` those that have ended."""

    rows: int
    steps: Mapping[str, StepTally]
    models: Mapping[str, ModelTally]
    rows_done: int = 0
    rows_failed: int = 0

    @classmethod
    def for_steps(cls, steps: Iterable[Step], rows: int) -> Tallies:
        found = list(steps)
        models = {step.model.name: ModelTally() for step in found if step.model is not None}
        return cls(rows, {step.name: StepTally() for step in found}, models)
