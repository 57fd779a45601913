"""How much is done in a call, counted in lines of Python, so that it is the same on every machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["bounded", "lines_run"]


def lines_run(call: Callable[[], object]) -> int:
    """The lines of Python that are run by `call`, in all that it calls."""
    counted = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal counted
        counted += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return counted


def bounded(few: int, many: int) -> bool:
    """Whether so many lines are no more than what a constant cost varies by."""
    return many <= 3 * few + 100
