"""What the scenarios came to over all seeds, held against what must be reached: the worst seed counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from penstock.testing import Bound, Scenario, ScenarioResult

__all__ = ["BoundVerdict", "ScenarioOutcome"]


@attrs.frozen
class BoundVerdict:
    """One bound of one scenario. `value`: of the `seed` that did worst; `None`: it could not be measured there."""

    scenario: str
    bound: Bound
    seed: int | None
    value: float | None

    @property
    def met(self) -> bool:
        return self.value is not None and self.bound.missed_by(self.value) == 0

    @property
    def words(self) -> str:
        """Scenario, figure, what it came to and what was wanted."""
        figure = f"{self.scenario}: {self.bound.figure}"
        if self.value is None:
            return f"{figure} was not measured with seed {self.seed}, wanted {self.bound.words}"
        beyond = self.bound.missed_by(self.value)
        missed = f", missed by {beyond:.3g}" if beyond else ""
        return f"{figure} is {self.value:.4g} with seed {self.seed}, wanted {self.bound.words}{missed}"


@attrs.frozen
class ScenarioOutcome:
    """A scenario with the results of its seeds; without any if plugins of its stack are `missing`.

    `competitor`: the competitor's results with the same seeds, if it was asked and can run the scenario; `oracle`: the
    best that is to be had, the same way.
    """

    scenario: Scenario
    results: Sequence[ScenarioResult] = ()
    missing: Sequence[str] = ()
    competitor: Sequence[ScenarioResult] = ()
    oracle: Sequence[ScenarioResult] = ()

    @property
    def verdicts(self) -> list[BoundVerdict]:
        """One for each bound; none if it was not run."""
        return [self._verdict(bound) for bound in self.scenario.must] if self.results else []

    @property
    def not_run(self) -> str:
        """Why it was not run; empty if it was."""
        if not self.missing:
            return ""
        return f"{self.scenario.name}: not run, since its stack names {', '.join(self.missing)}: not installed"

    def worst(self, figure: str, worse: Callable[..., float]) -> float | None:
        """The figure of the worst seed; `None` if no seed has it."""
        return _worst(self.results, figure, worse)

    def worst_of_competitor(self, figure: str, worse: Callable[..., float]) -> float | None:
        """The same of the competitor's."""
        return _worst(self.competitor, figure, worse)

    def worst_of_oracle(self, figure: str, worse: Callable[..., float]) -> float | None:
        """The same of the oracle's."""
        return _worst(self.oracle, figure, worse)

    def spread(self, figure: str) -> tuple[float, float] | None:
        """The smallest and the largest over the seeds."""
        low, high = self.worst(figure, min), self.worst(figure, max)
        return None if low is None or high is None else (low, high)

    def _verdict(self, bound: Bound) -> BoundVerdict:
        values: dict[float, int] = {}
        for result in self.results:
            value = result.figures.get(bound.figure)
            if value is None:
                return BoundVerdict(self.scenario.name, bound, result.seed, None)
            values.setdefault(value, result.seed)
        worst = bound.worst(tuple(values))
        return BoundVerdict(self.scenario.name, bound, values[worst], worst)


def _worst(results: Sequence[ScenarioResult], figure: str, worse: Callable[..., float]) -> float | None:
    values = [result.figures[figure] for result in results if figure in result.figures]
    return worse(values) if values else None
