"""When the clock of a cell begins to run."""

from __future__ import annotations

import gc
from time import perf_counter

__all__ = ["begin"]


def begin() -> float:
    """Everything is set up: the clock runs from now on. What setting up left behind is no part of what is measured."""
    gc.collect()
    return perf_counter()
