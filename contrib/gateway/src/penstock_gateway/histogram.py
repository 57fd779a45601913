"""How long calls took, by buckets. Pure."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from penstock import METRICS

__all__ = ["BUCKETS", "Histogram"]

BUCKETS: Final[tuple[float, ...]] = METRICS.of_gateway["penstock_wait_seconds"].boundaries
"""Seconds."""


class Histogram:
    """How many values are at most as large as each bucket, and their sum."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(BUCKETS, value)] += 1
        self.total += value
