"""A worker in a process of its own: from standard input and output to the exit code.

What may go wrong before the worker is ready, an import, the configuration, `@load`, is told to the parent, which
otherwise waits a minute for nothing. All of that runs in the main thread and outside of trio, as it would in a script.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

import trio

from penstock import PenstockError
from penstock_worker.answers import start_error, words_of
from penstock_worker.handlers import Handlers
from penstock_worker.serving import LAST_WRITES, LINGER, LoadFailed, Prepared, WorkerRun, exit_code_of
from penstock_worker.streams import InputStream, OutputStream, take_over

__all__ = ["loaded_context", "run_process"]

log: Final = logging.getLogger("penstock.worker")

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class _Stopped(BaseException):
    """A signal came before the worker was ready."""


def run_process(prepare: Callable[[], Prepared], *, once: bool = False, in_a_script: bool = False) -> int:
    """The exit code of a worker on standard input and output, which are taken over before `prepare` is called.

    A script may have printed half a line before, which the first line of ours must not be the rest of.
    """
    pipes = take_over()
    if in_a_script:
        with suppress(OSError):
            os.write(pipes.sink, b"\n")
    sink = OutputStream(pipes.sink)
    try:
        with _stopped_by_signals():
            prepared = prepare()
    except _Stopped:
        return 0
    except BaseException as error:  # a module of the user's may do anything
        return _could_not_start(error, pipes.sink)

    async def work() -> int:
        run = WorkerRun(
            prepared,
            InputStream(pipes.source),
            sink,
            signals=_signals(prepared.settings.worker.grace),
            gone=sink.broken,
            once=once,
        )
        return await run.run()

    code = trio.run(work)
    if code:  # it must end, so that it is started anew
        _leave_in(LAST_WRITES, code)
    return code


def loaded_context(handlers: Handlers) -> Any:
    """What a plain `@load` returns; `None` where there is none, and where it is async. Raises `LoadFailed`."""
    loader = handlers.loader
    if loader is None or loader.is_async:
        return None
    try:
        return loader.fn()
    except _Stopped:
        raise
    except BaseException as error:
        raise LoadFailed(words_of(error)) from error


def _could_not_start(error: BaseException, descriptor: int) -> int:
    meant = isinstance(error, PenstockError) and error.__cause__ is None
    log.error("the worker could not start: %s", words_of(error), exc_info=None if meant else error)
    try:
        os.write(descriptor, start_error(error))
        time.sleep(LINGER)  # the parent loses what is written just before an exit
    except OSError:
        log.error("nobody reads that")
    return exit_code_of(error)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """A block that a signal ends with `_Stopped`, as far as it runs in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    before = {number: signal.signal(number, _stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped


@contextmanager
def _signals(grace: float) -> Iterator[AsyncIterator[int]]:
    """The signals that end the worker. The process is gone a while after the first, whatever still runs in it."""
    with trio.open_signal_receiver(*SIGNALS) as received:

        async def first_arms() -> AsyncIterator[int]:
            armed = False
            async for number in received:
                if not armed:
                    armed = True
                    _leave_in(grace + LAST_WRITES + LINGER + 0.25, 0)
                yield number

        yield first_arms()


def _leave_in(seconds: float, code: int) -> None:
    """The process ends after so many seconds at the latest: also where code of the user's holds up its exit."""
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()
