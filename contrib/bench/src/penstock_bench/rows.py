"""What a row of a bench is: something of ours, and what it is held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs

from penstock_bench.records import MICROSECONDS, Sample, Unit

__all__ = ["Local", "Measure", "Measured", "Peer", "Row"]

Measure = Callable[[int | None], Sample]
"""Measures once. Is given the mark up to which the other side has come, if it was cut there."""


@attrs.frozen
class Peer:
    """A cell of the peer's, by its name on the peer's side, with its parameters."""

    cell: str
    parameters: Mapping[str, Any]


@attrs.frozen
class Local:
    """Something else of this environment: a bare nursery, or our own work in another size."""

    name: str
    measure: Measure


@attrs.frozen(kw_only=True)
class Row:
    """One line of the table. `rounds`: at most so many, for what does not vary or takes long."""

    name: str
    title: str
    ours: Measure
    other: Peer | Local | None = None
    unit: Unit = MICROSECONDS
    rounds: int | None = None


class Measured(Protocol):
    """Whoever measures cells of the peer's."""

    name: str

    def measure(self, cell: str, parameters: Mapping[str, Any]) -> Sample:
        """Measure once; a cell whose time is up gives what was done until then. Raises `PeerUnavailable`."""
        ...
