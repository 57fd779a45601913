"""What all answers of a store have cost, by step, those that were dropped since included: a budget counts money, not
cells.

A store may hold millions of answers, so each run adds up only those that came since the run before, and notes the sum.
"""

from __future__ import annotations

import json
from typing import Final

import attrs

from penstock_batch.store.samples import Ask

__all__ = ["LOST", "SPENT", "Spent", "StepSpent", "spent_of"]

SPENT: Final = "spent"
"""The name of the fact."""
LOST: Final = "lost"
"""The name of the fact that says what was paid for answers that could not be used, which are not kept, by step."""


@attrs.frozen
class StepSpent:
    """What the answers of a step came to: how many there were, what they cost as far as that is known, the largest in
    tokens.
    """

    answers: int = 0
    cost: float = 0.0
    largest: int | None = None

    def __add__(self, other: StepSpent) -> StepSpent:
        largest = [each.largest for each in (self, other) if each.largest is not None]
        return StepSpent(self.answers + other.answers, self.cost + other.cost, max(largest, default=None))


@attrs.frozen
class Spent:
    """The sums by step, of all answers up to one of this number."""

    upto: int = 0
    steps: dict[str, StepSpent] = attrs.field(factory=dict)
    lost: dict[str, float] = attrs.field(factory=dict)
    """What was paid beside them."""

    @property
    def cost(self) -> float:
        """What all of it has cost."""
        return sum(step.cost for step in self.steps.values()) + sum(self.lost.values())

    def as_text(self) -> str:
        """The sums as they are noted."""
        return json.dumps([self.upto, {name: attrs.astuple(step) for name, step in self.steps.items()}])


def spent_of(ask: Ask) -> Spent:
    """What a store's answers have cost until now."""
    noted = ask("SELECT value FROM facts WHERE name = ?", (SPENT,))
    spent = _noted(noted[0][0]) if noted else Spent()
    question = "SELECT step, count(*), total(cost), max(output_tokens), max(id) FROM answers WHERE id > ? GROUP BY step"
    steps, upto = dict(spent.steps), spent.upto
    for step, count, cost, largest, last in ask(question, (spent.upto,)):
        steps[step] = steps.get(step, StepSpent()) + StepSpent(count, cost, largest)
        upto = max(upto, last)
    lost = ask("SELECT value FROM facts WHERE name = ?", (LOST,))
    return Spent(upto, steps, _lost(lost[0][0]) if lost else {})


def _noted(text: str) -> Spent:
    try:
        upto, steps = json.loads(text)
        return Spent(int(upto), {name: StepSpent(*each) for name, each in steps.items()})
    except (ValueError, TypeError, AttributeError, RecursionError):  # then all of it is added up again
        return Spent()


def _lost(text: str) -> dict[str, float]:
    try:
        return {str(name): float(cost) for name, cost in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}
