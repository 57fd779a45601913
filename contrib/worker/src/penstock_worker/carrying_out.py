"""One handler called for one message, and the answer made of whatever it returns, raises, or does not.

The answer is made where the handler ran, so that a large result is written as JSON in the handler's own thread, and
nobody can change it meanwhile.
"""

from __future__ import annotations

import inspect
import logging
from math import inf
from typing import Any, Final

import trio

from penstock_worker.answers import error_answer, failure_answer, result_answer
from penstock_worker.book import Entry

__all__ = ["call_async", "call_plain", "overdue_answer"]

log: Final = logging.getLogger("penstock.worker")


async def call_async(entry: Entry, context: Any, limit: float | None, longest: int) -> bytes:
    """The answer of an async handler, which is cancelled at its time limit."""
    message, handler = entry.message, entry.handler
    try:
        with trio.move_on_after(inf if limit is None else limit) as scope:
            value = await handler.fn(*handler.arguments(message.payload, context))
    except BaseException as error:
        if trio.current_effective_deadline() == -inf:  # the run ends, and with it the handler, whatever it raised
            await trio.lowlevel.checkpoint_if_cancelled()
        return _failed(entry, error, longest)
    if scope.cancelled_caught:
        return overdue_answer(entry, limit or 0.0, longest)
    return result_answer(message.task_id, value, longest)


def call_plain(entry: Entry, context: Any, longest: int) -> bytes:
    """The answer of a plain handler, in the thread that this is called in."""
    message, handler = entry.message, entry.handler
    try:
        value = handler.fn(*handler.arguments(message.payload, context))
        if inspect.iscoroutine(value):
            value.close()
            raise TypeError(f"the task returned a coroutine of {value.__qualname__}: write the task as `async def`")
    except trio.Cancelled:  # the run ends
        raise
    except BaseException as error:
        return _failed(entry, error, longest)
    return result_answer(message.task_id, value, longest)


def overdue_answer(entry: Entry, limit: float, longest: int) -> bytes:
    """The answer for a task that has not ended at its time limit."""
    log.warning("task %.100r did not end within its time limit of %g s", entry.message.task_id, limit)
    words = f"the task did not end within its time limit of {limit:g} s"
    return error_answer(entry.message.task_id, words, retry=True, longest=longest)


def _failed(entry: Entry, error: BaseException, longest: int) -> bytes:
    log.warning("task %.100r failed", entry.message.task_id, exc_info=error)
    return failure_answer(entry.message.task_id, error, longest)
