"""Plain functions in threads of a run, and how those that have gone into a thread wait for something of the run.

A thread cannot be ended from outside. So cancelling tells it: its waits for the run end by trio's `Cancelled`, and
`trio.from_thread.check_cancelled()` raises it. Then the end of the function is awaited, since what it holds is in use
until then; only when the run ends may it be left.

trio's own `abandon_on_cancel=False` cannot be left at all, and with `True` nothing that a thread waits for in the run
is cancelled. So it is `True` here, with the waits of the thread known by a context variable.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from inspect import isasyncgen, iscoroutine, isgeneratorfunction
from threading import current_thread, get_ident
from typing import Final, TypeVar, TypeVarTuple, cast

import trio

from penstock.executor.under_trio import require_trio
from penstock.words.errors import ConfigError, PenstockError, TaskAbandoned

__all__ = ["ThreadWork", "only_begun", "run_in_thread", "wait_in_run"]

R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class ThreadWork:
    """One function in a thread, for the task that awaits its end."""

    def __init__(self) -> None:
        self.started = False
        self.cancelled = False
        self.name = ""
        """The thread's."""
        self.at_end: set[Callable[[ThreadWork], None]] = set()
        """What is called in the run when the function has ended, also where it was left behind. Must not raise."""
        self.ended = trio.Event()
        self._thread: int | None = None
        self._waits: set[trio.CancelScope] = set()

    async def acquire_on_behalf_of(self, _: object) -> None:
        """What trio calls right before the thread starts: the limit of threads is the caller's affair."""
        self.started = True

    def release_on_behalf_of(self, _: object) -> None:
        """What trio calls when the thread has ended."""

    @staticmethod
    def here() -> ThreadWork | None:
        """The work that is this thread's own; not that of a thread which has started this one."""
        work = THREAD_WORK.get()
        return work if work is not None and work._thread == get_ident() else None

    def begin(self) -> None:
        """The thread has begun: this is it."""
        self.name = current_thread().name
        self._thread = get_ident()

    def end(self) -> None:
        """In the run: the function has ended."""
        for call in tuple(self.at_end):
            call(self)
        self.ended.set()

    async def wait(self, function: Callable[[*Ts], Awaitable[R]], *args: *Ts) -> R:
        """What the function returns, awaited in the run for the thread; cancelled with the thread's task."""
        with trio.CancelScope() as scope:
            if self.cancelled:
                scope.cancel()
            self._waits.add(scope)
            try:
                return await function(*args)
            finally:
                self._waits.remove(scope)
        raise _WaitCancelled("the task that this thread works for was cancelled")

    def cancel(self) -> None:
        """The end of whatever the thread waits for in the run, now and later."""
        self.cancelled = True
        for scope in self._waits:
            scope.cancel()


class _WaitCancelled(Exception):
    """A wait of a thread that ended with its task's cancellation."""


THREAD_WORK: Final[ContextVar[ThreadWork | None]] = ContextVar("penstock_thread_work", default=None)
"""The work of the thread that this code runs in, if `run_in_thread` started it."""


def wait_in_run(function: Callable[[*Ts], Awaitable[R]], *args: *Ts) -> R:
    """What the async function returns, awaited in the run for code in a thread that trio started, which it blocks.

    As `trio.from_thread.run`, and cancelled with the thread's task also where that is one of `run_in_thread`.
    """
    work = THREAD_WORK.get()
    if work is None:
        return trio.from_thread.run(function, *args)
    try:
        return trio.from_thread.run(work.wait, function, *args)
    except _WaitCancelled:
        trio.from_thread.check_cancelled()
        raise


async def run_in_thread(
    fn: Callable[[*Ts], R],
    *args: *Ts,
    leave: Callable[[], Awaitable[None]] | None = None,
    name: str | None = None,
) -> R:
    """What `fn(*args)` returns, run in a thread of its own: it may block, and nobody else waits for it.

    Inside, `with penstock.request(...)` and `penstock.execute_from_thread` are admitted as calls of the task that
    awaits this. How many threads there are is the caller's affair.

    Cancelling tells the thread: what it waits for in the run, and `trio.from_thread.check_cancelled()`, raise trio's
    `Cancelled` there. This waits until it ends, and then has its result or its exception, as if nobody had cancelled.

    `leave` is awaited from the cancellation on, in a shielded scope: where it returns before the thread has ended, this
    raises `TaskAbandoned`, and the thread is left to run on. `name` is the thread's.
    """
    require_trio("penstock.run_in_thread")
    work = ThreadWork()
    token = trio.lowlevel.current_trio_token()
    ends: list[tuple[R | None, BaseException | None]] = []

    def carry_out() -> None:
        work.begin()
        try:
            ends.append((fn(*args), None))
        except BaseException as error:
            ends.append((None, error))
        finally:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(work.end)

    before = THREAD_WORK.set(work)
    try:
        await trio.to_thread.run_sync(carry_out, abandon_on_cancel=True, limiter=work, thread_name=name)  # type: ignore[arg-type]
    except trio.Cancelled:
        if not work.started:
            raise
        work.cancel()
        with trio.CancelScope(shield=True):
            await _ended_or_left(work.ended, leave)
        if not ends:
            raise TaskAbandoned("its thread did not end when it was cancelled, and was left behind") from None
    finally:
        THREAD_WORK.reset(before)
    value, error = ends.pop()
    if error is not None:
        if isinstance(error, Exception) or (work.cancelled and _is_cancellation(error)):
            raise error
        # No Ctrl+C, which comes to the main thread, and nothing by which anybody else should end.
        raise PenstockError(f"the function raised {type(error).__name__}, which is no Exception") from error
    if only_begun(fn, value):
        returned = type(value).__name__
        raise ConfigError(f"fn must be a plain function to run in a thread, and it returned a {returned}: write `def`")
    return cast("R", value)


def only_begun(fn: Callable[..., object], value: object) -> bool:
    """Whether a call of `fn` that returned this has carried nothing out: a coroutine, which is closed, or a
    generator.
    """
    if iscoroutine(value):
        value.close()
        return True
    return isasyncgen(value) or isgeneratorfunction(fn)


def _is_cancellation(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(isinstance(each, Exception) or _is_cancellation(each) for each in error.exceptions)
    return isinstance(error, trio.Cancelled)


async def _ended_or_left(ended: trio.Event, leave: Callable[[], Awaitable[None]] | None) -> None:
    async def wait_and_cancel(awaited: Callable[[], Awaitable[None]]) -> None:
        await awaited()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_and_cancel, ended.wait)
        if leave is not None:
            nursery.start_soon(wait_and_cancel, leave)
