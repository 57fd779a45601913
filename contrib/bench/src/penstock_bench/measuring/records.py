"""What is measured and what comes of it: samples, the figures of several rounds, and a row's outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from typing import Final

import attrs

from penstock import AsyncCapacityPlan

__all__ = [
    "BYTES",
    "CPU_SHARE",
    "MEGABYTES",
    "MICROSECONDS",
    "PERCENT",
    "PER_SECOND",
    "SECONDS",
    "Figure",
    "Outcome",
    "Sample",
    "Unit",
]


@attrs.frozen
class Sample:
    """One measurement: `units` of work took `amount` (seconds, or bytes). `capacity` is what limited the run, if it was
    one.

    `complete` is false if the time was up before all of it was done. `amount_at_mark` is what the first units
    took, up to the mark that the measurement was given."""

    units: int
    amount: float
    complete: bool = True
    amount_at_mark: float | None = None
    capacity: AsyncCapacityPlan | None = attrs.field(default=None, kw_only=True, repr=False)

    @property
    def cost(self) -> float:
        """What one unit took. Raises `ZeroDivisionError` if not even one was done."""
        return self.amount / self.units

    def first(self, mark: int) -> Sample:
        """The part up to the mark, to be compared with a sample that was cut there."""
        if self.amount_at_mark is None:
            return self
        return Sample(mark, self.amount_at_mark)


@attrs.frozen
class Unit:
    """How a cost is shown: as it is times a `scale`, or how much of it goes into a second."""

    name: str
    scale: float = 1.0
    rate: bool = False

    def show(self, cost: float) -> float:
        """The cost, in this unit."""
        return 1.0 / cost if self.rate else cost * self.scale


MICROSECONDS: Final = Unit("µs each", 1e6)
PER_SECOND: Final = Unit("a second", rate=True)
SECONDS: Final = Unit("s")
BYTES: Final = Unit("bytes each")
MEGABYTES: Final = Unit("MB", 1e-6)
CPU_SHARE: Final = Unit("% of a core", 100.0)
PERCENT: Final = Unit("% more", 100.0)


@attrs.frozen
class Figure:
    """What came out in the rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def as_mapping(self) -> Mapping[str, object]:
        """Median and spread, and the values themselves."""
        return {"median": self.median, "low": self.low, "high": self.high, "values": list(self.values)}

    @classmethod
    def of(cls, values: list[float], show: Callable[[float], float] = float) -> Figure | None:
        """The figure of these values; `None` if there are none."""
        return cls(tuple(map(show, values))) if values else None


@attrs.frozen(kw_only=True)
class Outcome:
    """A row as it came out. `ratio`: how many times as much one unit costs the other, round by round. `capacity`: what
    limited our run of the last round, if it was one."""

    row: str
    title: str
    unit: Unit
    ours: Figure
    against: str = ""
    other: Figure | None = None
    ratio: Figure | None = None
    note: str = ""
    capacity: AsyncCapacityPlan | None = attrs.field(default=None, repr=False)
