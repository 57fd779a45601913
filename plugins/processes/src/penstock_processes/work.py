"""What a worker process does: it takes a job, carries it out, and answers.

What cannot be loaded, or handed back, becomes an answer in words, for its own task alone: the worker goes on. Workers
import this module and nothing else of ours, so it imports little.
"""

from __future__ import annotations

import os
import pickle
from multiprocessing import parent_process
from multiprocessing.connection import wait
from threading import Thread
from traceback import format_exception
from typing import Literal

from tblib import pickling_support

__all__ = ["Answer", "carry_out", "in_words", "prepare"]

Answer = tuple[Literal["result", "error", "failure", "wrong"], bytes]
"""What became of a job: its result, what it raised, or in words why neither can be handed on (`failure`), or
what is wrong about the function."""


def prepare(nice: int) -> None:
    """What a worker does first: it stands back behind everything else, and sees to it that it ends with the run."""
    if nice and hasattr(os, "nice"):
        os.nice(nice)
    Thread(target=_end_with_the_run, name="end with the run", daemon=True).start()


def _end_with_the_run() -> None:
    """Ends this process when the one that started it is gone, killed say: nobody waits for what it computes."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def carry_out(job: bytes, largest: int) -> Answer:
    """The answer to a job. Runs in the worker."""
    try:
        payload = pickle.loads(job)
    except BaseException as error:
        return "failure", f"the worker process cannot load the task: {in_words(error)}".encode()
    try:
        result = payload()
    except BaseException as error:
        return _bounded(_error_answer(error), largest)
    if hasattr(result, "__await__"):
        getattr(result, "close", bool)()
        return "wrong", b"fn must be a plain function, and it returned a coroutine: write `def`"
    try:
        pickled = pickle.dumps(result, protocol=5)
    except BaseException as error:
        return "failure", f"its result, of type {type(result).__name__}, cannot be pickled: {in_words(error)}".encode()
    return _bounded(("result", pickled), largest)


def _bounded(answer: Answer, largest: int) -> Answer:
    kind, data = answer
    if len(data) <= largest:
        return answer
    what = "result" if kind == "result" else "exception"
    said = f"its {what} has {len(data):,} bytes, and largest_result allows {largest:,}"
    return "failure", f"{said}: write what is large to a file and return its path".encode()


def _error_answer(error: BaseException) -> Answer:
    try:
        pickling_support.install(error)
        pickled = pickle.dumps(error, protocol=5)
        pickle.loads(pickled)  # what only says in the run that it cannot be made again would say nothing else
    except BaseException as why:
        trace = "".join(format_exception(error))
        what = f"it raised {type(error).__name__}, which cannot be pickled ({in_words(why)}):\n{trace}"
        return "failure", what.encode(errors="replace")
    return "error", pickled


def in_words(error: BaseException) -> str:
    """An exception by its type and its words, as far as it has any."""
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException:
        return type(error).__name__
