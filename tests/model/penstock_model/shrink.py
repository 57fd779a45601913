"""The fewest steps that still fail: chunks of steps are dropped as long as the run fails without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["shrunk"]

T = TypeVar("T")


def shrunk(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """What is left of `items` when nothing more can be dropped: first halves, then single ones."""
    kept = list(items)
    size = max(1, len(kept) // 2)
    while True:
        dropped = False
        start = 0
        while start < len(kept):
            fewer = kept[:start] + kept[start + size :]
            if fails(fewer):
                kept, dropped = fewer, True
            else:
                start += size
        if size == 1 and not dropped:
            return kept
        size = max(1, size // 2)
