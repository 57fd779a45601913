"""What becomes of an exception of a task that is no `Exception`: it ends that task alone, or goes on through trio."""

from __future__ import annotations

from math import inf

import trio

from penstock.words.errors import PenstockError

__all__ = ["cancellation_of", "stray_error"]


def stray_error(caught: BaseException, what: str) -> PenstockError | None:
    """The error in which `what` alone ends that raised no `Exception`, such as `SystemExit`, or a `Cancelled` though
    nobody has cancelled it; `None` for what must go on through trio.

    A `KeyboardInterrupt` goes on, since it may be a real one: tasks are not protected from it.
    """
    if trio.current_effective_deadline() == -inf or issubclass(type(caught), GeneratorExit) or _interrupts(caught):
        return None
    error = PenstockError(f"{what} raised {type(caught).__name__}, which is no Exception: it alone ends by that")
    error.__cause__ = caught
    return error


def _interrupts(caught: BaseException) -> bool:
    # By its type: what it says of its class, or of its members, may raise. One by one: it may be nested without end.
    left = [caught]
    while left:
        each = left.pop()
        if issubclass(type(each), KeyboardInterrupt):
            return True
        if issubclass(type(each), BaseExceptionGroup):
            left += BaseExceptionGroup.exceptions.__get__(each)
    return False


def cancellation_of(caught: BaseException) -> tuple[BaseException, Exception | None]:
    """What of a base exception must go on through trio, and what failed beside it in the task's own nurseries."""
    if not isinstance(caught, BaseExceptionGroup):
        return caught, None
    try:
        errors, left = caught.split(Exception)
    except Exception:  # a group with a `split` or a `derive` of its own
        return caught, None
    if errors is None or left is None:
        return caught, None
    return left, errors
