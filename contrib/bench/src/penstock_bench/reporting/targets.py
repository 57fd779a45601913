"""What is to be reached, as data (`targets.toml`), and whether it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Literal

import attrs

from penstock import ConfigError, Problem, did_you_mean, read_toml, structure
from penstock_bench.measuring.records import Outcome

__all__ = ["Target", "Verdict", "judge", "load_targets", "targets_from"]

FigureName = Literal["ratio", "ours"]


@attrs.frozen(kw_only=True)
class Target:
    """A bound on one figure of one row. `source` is the page that states it, `says` its words. `compiled`: it holds
    where the compiled wheels are installed, beside what holds everywhere.
    """

    bench: str
    row: str
    figure: FigureName = attrs.field()
    source: str
    says: str
    at_least: float | None = None
    at_most: float | None = None
    compiled: bool = False

    def __attrs_post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"the target of row {self.row!r} needs at_least or at_most, and not both")

    @figure.validator
    def _known(self, _: attrs.Attribute[Any], value: str) -> None:
        if value not in ("ratio", "ours"):
            raise ValueError(f"figure must be ratio or ours, not {value!r}")

    @property
    def words(self) -> str:
        """The bound, for a table."""
        bound = f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"
        return f"{bound} ×" if self.figure == "ratio" else bound

    def met_by(self, value: float) -> bool:
        """Whether this value is within the bound."""
        return value >= self.at_least if self.at_least is not None else value <= (self.at_most or 0.0)


@attrs.frozen
class Verdict:
    """Whether a target was met; `None` if the figure was not measured."""

    target: Target
    value: float | None

    @property
    def met(self) -> bool | None:
        return None if self.value is None else self.target.met_by(self.value)

    @property
    def words(self) -> str:
        """For people: the row, what it came to, and what was wanted."""
        target = self.target
        found = "not measured" if self.value is None else f"{self.value:.4g}"
        return f"{target.row}: {target.figure} is {found}, wanted {target.words} ({target.source}: “{target.says}”)"


def load_targets() -> list[Target]:
    """The targets that come with this distribution."""
    file = files("penstock_bench.reporting").joinpath("targets.toml")
    return targets_from(read_toml(file), str(file))


def targets_from(data: Mapping[str, Any], where: str = "targets") -> list[Target]:
    """The targets of a parsed file: `[sources]` names pages, each `[[target]]` names one of them. `where` names the
    file in errors. Raises `ConfigError` with every problem.
    """
    read: _TargetFile = structure(data, _TargetFile, source=where)
    return [attrs.evolve(target, source=read.sources[target.source]) for target in read.target]


@attrs.frozen
class _TargetFile:
    sources: dict[str, str]
    target: list[Target] = attrs.field()

    @target.validator
    def _of_known_sources(self, _: attrs.Attribute[Any], value: Sequence[Target]) -> None:
        wrong = [
            Problem(("target", at, "source"), f"unknown page; {did_you_mean(target.source, self.sources)}")
            for at, target in enumerate(value)
            if target.source not in self.sources
        ]
        if wrong:
            raise ConfigError(wrong)


def judge(
    targets: Sequence[Target], outcomes: Sequence[Outcome], bench: str, *, compiled: bool = False
) -> list[Verdict]:
    """A verdict on each target of this bench, by the medians of the outcomes; `compiled` says what has run. Raises
    `ValueError` for a target of a row that there is not.
    """
    by_name = {outcome.row: outcome for outcome in outcomes}
    verdicts = []
    for target in targets:
        if target.bench != bench or (target.compiled and not compiled):
            continue
        if target.row not in by_name:
            raise ValueError(f"there is a target for row {target.row!r}, which {bench!r} does not have")
        outcome = by_name[target.row]
        figure = outcome.ratio if target.figure == "ratio" else outcome.ours
        verdicts.append(Verdict(target, None if figure is None else figure.median))
    return verdicts
