"""What the workers of these benches do. It imports little, since workers import it."""

from __future__ import annotations

import os
from time import perf_counter

__all__ = ["compute", "noted", "turns_in"]


def compute(turns: int) -> int:
    """Arithmetic, so many turns of it."""
    total = 0
    for number in range(turns):
        total = (total * 31 + number) % 1_000_003
    return total


def turns_in(seconds: float) -> int:
    """The turns that take so many seconds on this machine, alone on a core."""
    turns = 100_000
    best = float("inf")
    for _ in range(5):
        began = perf_counter()
        compute(turns)
        best = min(best, perf_counter() - began)
    return max(1, int(turns * seconds / best))


def noted(path: str, number: int, turns: int) -> int:
    """The number, after a note in a file that the task has begun, and after some turns."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, b"%d\n" % number)
    finally:
        os.close(file)
    compute(turns)
    return number
