"""Foreign code under guard while it is looked at: it may take so long and no longer, and what it prints, or leaves
behind, is kept.

A plugin that hangs when it is imported would hang the doctor, and one that prints would spoil its records. The guard
interrupts by a timer of the system, in the main thread and where there is such a timer; elsewhere nothing is timed.
What is written past Python, by a child or by code in C, goes to a file instead; the working folder is put back.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import TextIOBase
from tempfile import TemporaryFile

import attrs

from penstock.plugins.foreign_code import TookTooLong, interruptible

__all__ = ["Left", "Printed", "guarded"]

SECONDS = 60.0
"""How long foreign code may take, which is long enough for the largest of imports."""


@attrs.frozen
class Printed:
    """A text that was printed, and the line of code that printed it."""

    text: str
    file: str
    line: int


@attrs.frozen
class Left:
    """What foreign code has left behind, as what it did, in words."""

    what: str


class _Kept(TextIOBase):
    """A standard output that keeps what is written, with who wrote it."""

    def __init__(self, kept: list[Printed | Left]) -> None:
        self._kept = kept

    def write(self, text: str) -> int:
        frame = sys._getframe(1)
        if text.strip():
            self._kept.append(Printed(text.strip(), frame.f_code.co_filename, frame.f_lineno))
        return len(text)


@contextmanager
def guarded(kept: list[Printed | Left]) -> Iterator[None]:
    """A block in which foreign code runs; what it prints and leaves behind goes to `kept`. Raises `TookTooLong` in the
    midst of it, and `KeyboardInterrupt` after a real Ctrl+C."""
    out = _Kept(kept)
    with interruptible(), _surroundings(kept), _no_output(kept), redirect_stdout(out), _timed():
        yield


@contextmanager
def _surroundings(kept: list[Printed | Left]) -> Iterator[None]:
    """A block after which the process works in the folder that it worked in before."""
    folder, threads = os.getcwd(), set(threading.enumerate())
    try:
        yield
    finally:
        if (now := os.getcwd()) != folder:
            os.chdir(folder)
            kept.append(Left(f"changes the folder that the whole program works in, to {now!r}"))
        for each in set(threading.enumerate()) - threads:
            if not each.daemon:
                kept.append(Left(f"starts the thread {each.name!r}, without whose end no program ends"))


@contextmanager
def _no_output(kept: list[Printed | Left]) -> Iterator[None]:
    """A block in which nobody writes to the standard output of the process, children included."""
    try:
        real = os.dup(1)
    except OSError:  # it is closed
        yield
        return
    with TemporaryFile() as instead:
        sys.stdout.flush()
        os.dup2(instead.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(real, 1)
            os.close(real)
            instead.seek(0)
            if text := instead.read(100).decode(errors="replace").strip():
                kept.append(Left(f"writes to the standard output of the process: {text!r}"))


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
