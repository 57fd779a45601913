"""Foreign code under guard while it is looked at: it may take so long and no longer, and what it prints is kept.

A plugin that hangs when it is imported would hang the doctor, and one that prints would spoil its records. The guard
interrupts by a timer of the system, in the main thread and where there is such a timer; elsewhere nothing is timed.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import TextIOBase

import attrs

__all__ = ["Printed", "TookTooLong", "guarded"]

SECONDS = 60.0
"""How long foreign code may take, which is long enough for the largest of imports."""


class TookTooLong(BaseException):
    """Foreign code was interrupted. No `Exception`, so that it does not catch it."""


@attrs.frozen
class Printed:
    """A text that was printed, and the line of code that printed it."""

    text: str
    file: str
    line: int


class _Kept(TextIOBase):
    """A standard output that keeps what is written, with who wrote it."""

    def __init__(self, kept: list[Printed]) -> None:
        self._kept = kept

    def write(self, text: str) -> int:
        frame = sys._getframe(1)
        if text.strip():
            self._kept.append(Printed(text.strip(), frame.f_code.co_filename, frame.f_lineno))
        return len(text)


@contextmanager
def guarded(kept: list[Printed]) -> Iterator[None]:
    """A block in which foreign code runs; what it prints goes to `kept`. Raises `TookTooLong` in the midst of it."""
    with redirect_stdout(_Kept(kept)), _timed():
        yield


@contextmanager
def _timed() -> Iterator[None]:
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise TookTooLong(f"it took longer than {SECONDS:g} s, and was interrupted")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
