"""Code of plugins where it is imported, made and asked before a run: whatever comes out of it is the plugin's error.

That is `BaseException`: a plugin that calls `sys.exit`, or raises `KeyboardInterrupt`, is broken like any other. A real
Ctrl+C is told from one that a plugin raises by its signal, whose handler is wrapped meanwhile; it ends the block as
`KeyboardInterrupt`, whatever the code made of it. In other threads than the main one none arrives.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from penstock.words.errors import PluginError
from penstock.words.failures import text_of
from penstock.words.plugin_failures import place_of

__all__ = ["LOOKED_AT", "TookTooLong", "describe_error", "foreign_code", "interruptible"]


LOOKED_AT: Final = "cannot be looked at"
"""What is said of a plugin whose attributes raise when they are asked for."""


class TookTooLong(BaseException):
    """Foreign code was interrupted. No `Exception`, so that it does not catch it."""


@contextmanager
def foreign_code(
    plugin: str,
    what: str,
    *,
    made: type[PluginError] = PluginError,
    passing: tuple[type[BaseException], ...] = (),
) -> Iterator[None]:
    """A block in which code of `plugin` runs. What it raises becomes an error, `made`, that says `what`, with its
    cause; what is `passing`, a real Ctrl+C and `TookTooLong` leave the block as they are.
    """
    with interruptible():
        try:
            yield
        except BaseException as error:
            if isinstance(error, (*passing, TookTooLong)):
                raise
            raise made(plugin, f"{what}: {describe_error(error)}") from error


@contextmanager
def interruptible() -> Iterator[None]:
    """A block that a real Ctrl+C ends as `KeyboardInterrupt`, whatever else it came to in there."""
    before: Any = None
    if threading.current_thread() is threading.main_thread():
        before = signal.getsignal(signal.SIGINT)
    if not callable(before):  # it is ignored, or left to the system
        yield
        return
    came: list[KeyboardInterrupt] = []

    def noted(number: int, frame: Any) -> None:
        try:
            before(number, frame)
        except KeyboardInterrupt as interrupt:
            came.append(interrupt)
            raise

    signal.signal(signal.SIGINT, noted)
    try:
        yield
    except BaseException as error:
        if came and error is not came[0]:
            raise came[0] from None
        raise
    finally:
        if signal.getsignal(signal.SIGINT) is noted:
            signal.signal(signal.SIGINT, before)
    if came:
        raise came[0]


def describe_error(error: BaseException) -> str:
    """An error in one line: its type, its words, and the place in the code that raised it."""
    words = error.msg if isinstance(error, SyntaxError) else " ".join(text_of(error).split())
    place = place_of(error)
    where = "" if place.startswith("<") else f" ({place})"
    return f"{type(error).__name__}{f': {words}' if words else ''}{where}"
