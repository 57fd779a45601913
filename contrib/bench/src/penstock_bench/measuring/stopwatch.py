"""The clock of a cell, and when it begins to run."""

from __future__ import annotations

import gc
from time import perf_counter

__all__ = ["start_clock"]


def start_clock() -> float:
    """The time from which a cell is measured. What setting it up left behind is collected before."""
    gc.collect()
    return perf_counter()
