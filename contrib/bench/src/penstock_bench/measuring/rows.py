"""What a row of a bench is: something of ours, and what it is held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import attrs

from penstock_bench.measuring.records import MICROSECONDS, Sample, Unit

__all__ = ["COMPETITOR", "Competitor", "Local", "Measure", "MeasuresCompetitor", "Row"]

COMPETITOR: Final = "the peer"
"""What tables and files call the competitor: figures are compared with earlier ones by these words."""

Measure = Callable[[int | None], Sample]
"""Gives one measurement. Is given the mark up to which the other side has come, if it was cut there."""


@attrs.frozen
class Competitor:
    """A cell of the competitor's, by its name on the competitor's side, with its parameters."""

    cell: str
    parameters: Mapping[str, Any]


@attrs.frozen
class Local:
    """Something else of this environment: a bare nursery, or our own work in another size."""

    name: str
    measure: Measure
    environment: bool = False
    """Whether it needs an environment of its own, as the competitor does."""


@attrs.frozen(kw_only=True)
class Row:
    """One line of the table. `rounds`: at most so many, for what does not vary or takes long."""

    name: str
    title: str
    ours: Measure
    other: Competitor | Local | None = None
    unit: Unit = MICROSECONDS
    rounds: int | None = None


class MeasuresCompetitor(Protocol):
    """What measures cells of the competitor's; `name` is what tables call it."""

    name: str

    def measure(self, cell: str, parameters: Mapping[str, Any]) -> Sample:
        """One measurement; a cell whose time is up gives what was done until then. Raises `CompetitorUnavailable`."""
        ...
