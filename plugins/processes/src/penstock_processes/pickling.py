"""What goes to a worker process and comes back, in the process of the run: pickled here, and nowhere else.

Whatever cannot be is told in words, and to its own task alone.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from io import RawIOBase
from typing import Any

from penstock import ConfigError, PenstockError
from penstock_processes.work import Answer, in_words

__all__ = ["check_picklable", "job_of", "result_of"]


class _Nowhere(RawIOBase):
    """A file that keeps nothing of what is written."""

    def write(self, data: Any) -> int:
        return len(data)


def _pickle(what: Any) -> None:
    """Raises what pickling it raises. Nothing is kept, and large buffers are not copied."""
    pickle.Pickler(_Nowhere(), protocol=5, buffer_callback=lambda _: None).dump(what)


def check_picklable(fn: Callable[..., Any], args: Sequence[Any]) -> None:
    """Raises `ConfigError` for what does not pickle, and names it."""
    try:
        _pickle((fn, args))
    except Exception as error:
        for name, part in (("fn", fn), *((f"args[{at}]", each) for at, each in enumerate(args))):
            try:
                _pickle(part)
            except Exception as found:
                advice = "define it at the top of a module" if part is fn else "hand in what it is made from"
                raise ConfigError(f"{name} cannot be pickled for a worker process: {found}; {advice}") from found
        raise ConfigError(f"args cannot be pickled together for a worker process: {error}") from error


def job_of(payload: Callable[[], Any]) -> bytes:
    """A job, for `carry_out`. Raises `ConfigError` for what cannot be pickled any more."""
    try:
        return pickle.dumps(payload, protocol=5)
    except Exception as error:
        raise ConfigError(f"the task cannot be pickled any more, for a worker process: {error}") from error


def result_of(answer: Answer, task_id: str) -> Any:
    """The result of a task. Raises what the task raised, or a `PenstockError` for what could not be handed on."""
    kind, data = answer
    if kind == "failure":
        raise PenstockError(f"task {task_id!r}: {data.decode(errors='replace')}")
    if kind == "wrong":
        raise ConfigError(f"task {task_id!r}: {data.decode(errors='replace')}")
    try:
        found = pickle.loads(data)
    except BaseException as error:
        what = "result" if kind == "result" else "exception"
        raise PenstockError(f"task {task_id!r}: its {what} cannot be loaded here: {in_words(error)}") from error
    if kind == "error":
        if isinstance(found, Exception):
            raise found
        # No Ctrl+C, which workers ignore, and nothing by which anybody else should end.
        raise PenstockError(f"task {task_id!r} raised {type(found).__name__}, which is no Exception") from found
    return found
