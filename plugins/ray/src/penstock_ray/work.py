"""What a worker of the cluster does: it carries a task out, and answers.

What the function raises becomes an answer too, so that whatever Ray itself raises is the infrastructure's. Only
`KeyboardInterrupt` passes: by it Ray ends a task that is cancelled.
"""

from __future__ import annotations

from collections.abc import Callable
from traceback import format_exception
from typing import Any, Literal

from tblib import pickling_support

import penstock

__all__ = ["Answer", "carry_out", "in_words"]

Answer = tuple[Literal["result", "error", "words", "wrong"], Any]
"""What became of a task: its result, what it raised, pickled, or in words why neither is here, or what is wrong about
the function."""

NO_GATE = "there is no gate in this process: call before or after, in the process of the run"


def carry_out(payload: Callable[[], Any]) -> Answer:
    """The answer to a task. Runs in the worker."""
    penstock.set_no_gate(NO_GATE)
    try:
        result = payload()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return _raised(error)
    if hasattr(result, "__await__"):
        getattr(result, "close", bool)()
        return "wrong", "fn must be a plain function, and it returned a coroutine: write `def`"
    return "result", result


def _raised(error: BaseException) -> Answer:
    """An exception with its traceback, or what there is to be said of one that cannot travel."""
    from ray import cloudpickle

    try:
        pickling_support.install(error)
        pickled = cloudpickle.dumps(error)
        cloudpickle.loads(pickled)
    except BaseException as why:
        trace = "".join(format_exception(error))
        return "words", f"raised {type(error).__name__}, which cannot be pickled ({in_words(why)}):\n{trace}"
    return "error", pickled


def in_words(error: BaseException) -> str:
    """An exception by its type and its words, as far as it has any."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__
