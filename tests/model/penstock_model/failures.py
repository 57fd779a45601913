"""Random runs by seed, and what is told of one that fails: the fewest rules and steps that lead to it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from penstock_model import request_run, task_run
from penstock_model.request_seeds import RequestHolds, requests_and_steps
from penstock_model.shrink import shrunk
from penstock_model.task_run import Step
from penstock_model.task_seeds import Holds, scenario_and_steps

__all__ = ["failure_of_requests", "failure_of_tasks"]


def failure_of_tasks(seed: object, holds: Holds, *, untrue: bool = False) -> str | None:
    """What went wrong in the task gate's run of a seed; `None` if nothing did."""
    return _failure(seed, *scenario_and_steps(seed, holds, untrue=untrue), task_run.play)


def failure_of_requests(seed: object, holds: RequestHolds, *, untrue: bool = False) -> str | None:
    """What went wrong in the request gate's run of a seed; `None` if nothing did."""
    return _failure(seed, *requests_and_steps(seed, holds, untrue=untrue), request_run.play)


def _failure(seed: object, scenario: Any, steps: Sequence[Step], play: Callable[..., object]) -> str | None:
    def error(rules: Sequence[Any], steps: Sequence[Step]) -> str | None:
        try:
            play(attrs.evolve(scenario, rules=tuple(rules)), steps)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__} in {last.name}, line {last.lineno}: {error}"
        return None

    rules = scenario.rules
    if error(rules, steps) is None:
        return None
    steps = shrunk(steps, lambda some: error(rules, some) is not None)
    rules = shrunk(rules, lambda some: error(some, steps) is not None)
    steps = shrunk(steps, lambda some: error(rules, some) is not None)
    lines = [f"seed {seed}", f"  {attrs.evolve(scenario, rules=())}", *(f"  {rule}" for rule in rules)]
    return "\n".join([*lines, *(f"  {step}" for step in steps), str(error(rules, steps))])
