"""Ctrl+C and SIGTERM during a run: the loop is told of each, and the second ends the process whatever the loop does."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import trio

__all__ = ["INTERRUPTED", "stopping_signals"]

INTERRUPTED: Final = 130
"""The exit code that shells give a command that SIGINT ended."""
_LEAVE_WITHIN: Final = 5.0
"""Seconds in which a loop that was told twice must end. One that does not is held up by code that never returns."""


@contextmanager
def stopping_signals(on_signal: Callable[[int], None]) -> Iterator[None]:
    """A block in which `on_signal` is called in the loop for each signal, with how many have come."""
    token = trio.lowlevel.current_trio_token()
    came = 0
    last_resort: threading.Timer | None = None

    def handle(*_: object) -> None:
        nonlocal came, last_resort
        came += 1
        token.run_sync_soon(on_signal, came)
        if came == 2:
            last_resort = threading.Timer(_LEAVE_WITHIN, os._exit, (INTERRUPTED,))
            last_resort.daemon = True
            last_resort.start()

    before: dict[int, Any] = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if last_resort is not None:
            last_resort.cancel()
