"""Which groups compete for each resource, and what they weigh together.

A group competes for a resource while it holds some of it, or while it is below its `admitted_limit` and has a
task for it that is ready or waits for room in this very resource. (A group that waits for a `gpu` is not able
to run, whatever is free in `submission`; it competes for the gpus.) So the share that a weight gives is known
at once, with one group as with ten thousand.

Weights are added up as fractions: a sum of floats that goes up and down all day drifts, and may not come back
to nothing. Under a policy that asks, that is a sixteenth of a cycle. Lost: adding anew whenever somebody asks,
which costs as many steps as there are different weights.
"""

from __future__ import annotations

from collections.abc import Hashable
from fractions import Fraction

from penstock.tasks.records import TaskGroupKey

__all__ = ["Competition"]


class Competition:
    """The weights of those that compete, per resource. Pure."""

    def __init__(self) -> None:
        self._claims: dict[tuple[Hashable, TaskGroupKey], tuple[int, Fraction]] = {}
        """(resource, group) to the number of its claims, and its weight as it was with the first."""
        self._total: dict[Hashable, Fraction] = {}

    def begin(self, resource: Hashable, group: TaskGroupKey, weight: float) -> None:
        """One reason more for which the group competes."""
        claims, exact = self._claims.get((resource, group)) or (0, Fraction(weight))
        self._claims[resource, group] = claims + 1, exact
        if not claims:
            self._total[resource] = self._total.get(resource, Fraction()) + exact

    def end(self, resource: Hashable, group: TaskGroupKey) -> None:
        """One reason less."""
        claims, exact = self._claims[resource, group]
        if claims > 1:
            self._claims[resource, group] = claims - 1, exact
            return
        del self._claims[resource, group]
        self._total[resource] -= exact
        if not self._total[resource]:
            del self._total[resource]

    def weight(self, resource: Hashable, besides: TaskGroupKey) -> float:
        """What all others weigh together that compete for the resource."""
        total = self._total.get(resource, Fraction())
        own = self._claims.get((resource, besides))
        return float(total if own is None else total - own[1])
