"""A run of trio in a thread of its own: what it does for callers in other threads, and how it begins and ends.

Callers post steps (`crossing.py`). A `Call` that wants a lease asks for it in its step; only what must wait for more
than its turn is carried out by a trio task of its own. Its answer goes back by the port of its caller: the answers of
one turn together, before trio waits for the next one. Whatever a call raises is its answer, so nothing that a caller
hands in can end the run.

The thread is a daemon, lest a gate that nobody closes keep the process. It ends when its gate is closed, collected, or
at the exit of the process, which waits for it a moment so that sinks can write what they have.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextvars import ContextVar
from functools import partial
from threading import Thread
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

import attrs
import trio

import penstock
from penstock_asyncio.call import Call, Held, Port
from penstock_asyncio.crossing import Inbox, Step
from penstock_httpx import Exchange

__all__ = ["CLOCK", "GateRun", "Opening"]

EXIT_GRACE: Final = 5.0
"""How long the exit of the process waits for gates that were left open, in seconds."""

CLOCK: ContextVar[trio.abc.Clock | None] = ContextVar("penstock_asyncio_clock", default=None)
"""The clock of runs that are opened; for tests. Without one it is trio's own."""

_runs: Final[WeakSet[GateRun]] = WeakSet()


@attrs.frozen
class Opening:
    """What `penstock.open_scheduler` is called with."""

    config: Any
    plugins: Iterable[object]
    run_id: str | None
    wall_clock: penstock.WallClock | None


class GateRun:
    """The run of a gate, in a thread that begins at once.

    `opened` is done when calls can be made, or has what opening raised; `ended` when the thread's work is over, with
    the report of the run or with what the run raised at its end.
    """

    def __init__(self, opening: Opening) -> None:
        self.opened: Future[None] = Future()
        self.ended: Future[penstock.RunReport] = Future()
        for future in (self.opened, self.ended):
            future.set_running_or_notify_cancel()  # a caller who is cancelled while it waits cancels no run
        self.inbox = Inbox(self._undone)
        self.held: set[Held] = set()
        """The attempts that are out and come back by `release`. Belongs to the thread of the run, as what follows."""
        self.exchanges: WeakKeyDictionary[Exchange, Port] = WeakKeyDictionary()
        """The exchanges of transports."""
        self.nobody_waits = False
        """Whether a call that ends can be of use to nobody yet: it may be carried out with whatever is posted next.

        Any thread may read it who has left the end in the inbox first: it is set before the inbox is looked at again.
        """
        self.scheduler: penstock.Scheduler
        self._nursery: trio.Nursery
        self._opening = opening
        self._clock = CLOCK.get()
        self._gone: str | None = None
        self._failure: BaseException | None = None
        self._calls: set[Call] = set()
        self._answered: dict[Port, list[Call]] = {}
        self._stop = trio.Event()
        self._idle = trio.Event()
        self._patience = trio.CancelScope()
        self._thread = Thread(target=self._carry_out, name="penstock gate", daemon=True)
        _runs.add(self)
        self._thread.start()

    # -- for any thread --

    def require(self) -> None:
        """Raises `RuntimeError` where the gate is closed, or belongs to the process that this one was forked from."""
        if self._gone is not None:
            raise RuntimeError(self._gone)

    def start(self, call: Call) -> None:
        """Have a call carried out. Its answer comes by its port, unless it is cancelled."""
        self.inbox.post(self._start, call)

    def cancel(self, call: Call) -> None:
        """Have a call ended that its caller does not want any more, and its answer undone if there is one already."""
        self.inbox.post(self._cancel, call)

    def reply(self, call: Call, error: BaseException | None, *, quiet: bool = False) -> None:
        """Have it noted how the call ended that a caller made under an attempt; `quiet`: it waits for nothing more."""
        self.inbox.post(self._reply, call, error, quiet)

    def lose(self, port: Port, why: str) -> None:
        """Have all given back that the callers of a port have or wait for: they are no more."""
        self.inbox.post(self._lose, port, why)

    def now(self) -> float:
        """The clock of the run, in seconds."""
        self.require()
        return self.clock.current_time()

    @property
    def clock(self) -> trio.abc.Clock:
        """The clock of the run, for those who may look at it after its end."""
        assert self._clock is not None, "the gate has been opened"
        return self._clock

    def close(self, *, at_once: bool = False) -> None:
        """Have the gate closed: who waits is refused with `shutdown`, and who is out may finish within the
        `shutdown_grace` of the configuration, or not if it ends `at_once`.
        """
        if self._gone is None:
            self._gone = "this gate is closed: make calls inside its block"
        self.inbox.post(self._close, at_once)

    def forked(self) -> None:
        """Note that this is a child process, in which the thread does not exist."""
        self._gone = f"this gate belongs to process {os.getppid()}, from which this one was forked: open one here"
        self.inbox.discard()
        self.ended = Future()  # the lock of the old one may have been held by a thread that is not here
        self.ended.set_exception(RuntimeError(self._gone))

    def join(self, seconds: float) -> None:
        """Waits for the end of the thread, but no longer than so many seconds."""
        self._thread.join(seconds)

    # -- the thread --

    def _carry_out(self) -> None:
        try:
            report = trio.run(self._main, clock=self._clock)
        except BaseException as error:
            if not self.opened.done():
                self.opened.set_exception(error)
            self._settle_all(error)
            self.ended.set_exception(error)
        else:
            self._settle_all(None)
            self.ended.set_result(report)

    async def _main(self) -> penstock.RunReport:
        opening = self._opening
        self._clock = trio.lowlevel.current_clock()
        self.inbox.open()
        config = penstock.load_config(opening.config).config
        async with penstock.open_scheduler(
            config, plugins=opening.plugins, run_id=opening.run_id, wall_clock=opening.wall_clock
        ) as scheduler:
            self.scheduler = scheduler
            trio.lowlevel.add_instrument(_BeforeWaiting(self._flush))
            try:
                async with trio.open_nursery() as self._nursery:
                    self.opened.set_result(None)
                    await self._stop.wait()
                    scheduler.requests.close()
                    with self._patience:
                        self._patience.deadline = trio.current_time() + config.scheduler.shutdown_grace
                        await self._idle.wait()
                    self._nursery.cancel_scope.cancel()
            finally:
                for held in tuple(self.held):
                    held.give_up("its gate was closed")
                for exchange in tuple(self.exchanges):
                    exchange.abandoned("its gate was closed")
        assert scheduler.report is not None
        return scheduler.report

    async def _work(self, call: Call, scope: trio.CancelScope) -> None:
        with scope:
            try:
                call.value = await call.work(call, self.scheduler.requests)
            except trio.Cancelled:
                raise
            except BaseException as error:
                call.error = error
            self._done(call)
        self._calls.discard(call)

    def _done(self, call: Call) -> None:
        self._calls.discard(call)
        call.done = True
        call.cancel = None  # it may know the call, and a block that is dropped must go without the collector of circles
        if call.cancelled:
            self._discard(call)
        else:
            self.answer(call)

    def answer(self, call: Call) -> None:
        """Have the caller of a call go on, at the end of this turn."""
        if not call.quiet:
            self._answered.setdefault(call.port, []).append(call)

    def _flush(self) -> None:
        # Trio knows already whether it will wait: what is to happen in this thread is posted.
        while self._answered:
            port, calls = self._answered.popitem()
            if not port.deliver(calls):
                self.lose(port, "its event loop is closed")
        stopped = self._stop.is_set()
        self.nobody_waits = not self._calls and not stopped
        if not self.nobody_waits:
            self.inbox.wake()
        if stopped and not self._calls and not self.held and not self._idle.is_set():
            self.inbox.post(self._idle.set)

    # -- steps --

    def _start(self, call: Call) -> None:
        self._calls.add(call)
        if call.ask is None:
            self._start_task(call)
            return
        executor = self.scheduler.requests
        call.asked_at = executor.now()
        try:
            asked = call.ask(executor, partial(self._turn, call))
        except BaseException as error:
            self._turn(call, error)
        else:
            if isinstance(asked, penstock.WaitingAttempt):
                call.cancel = asked.cancel
            else:
                self._turn(call, asked)

    def _turn(self, call: Call, came: penstock.Attempt | BaseException) -> None:
        """A call that asked has its answer; unless new calls are held, for which it waits in a task."""
        if isinstance(came, penstock.Attempt):
            call.value = held = Held(came, call.port, self.held)
            held.take_over()
        elif isinstance(came, penstock.RequestAdmissionError) and _is_held(came.denied):
            timeout = came.denied.item.queue_wait_timeout
            if timeout is not None:
                call.timeout = max(0.0, call.asked_at + timeout - came.denied.refused_at)
            self._start_task(call)
            return
        else:
            call.error = came
        self._done(call)

    def _start_task(self, call: Call) -> None:
        scope = trio.CancelScope()
        call.cancel = scope.cancel
        self._nursery.start_soon(self._work, call, scope)

    def _cancel(self, call: Call) -> None:
        if call.cancelled:
            return
        call.cancelled = True
        if call.done:
            self._discard(call)
        elif call.cancel is not None:
            self._calls.discard(call)
            call.cancel()
            call.cancel = None

    def _discard(self, call: Call) -> None:
        value, call.value = call.value, None
        if value is not None and call.discard is not None:
            call.discard(value)

    def _reply(self, call: Call, error: BaseException | None, quiet: bool) -> None:
        call.quiet = quiet
        if call in self._calls and call.reply is not None:
            call.reply.give(error)
        elif not quiet:  # the gate was closed meanwhile
            call.error = error
            self.answer(call)

    def _lose(self, port: Port, why: str) -> None:
        for call in tuple(self._calls):
            if call.port is port:
                self._cancel(call)
        for held in tuple(self.held):
            if held.port is port:
                held.give_up(why)
        for exchange in [each for each, its in self.exchanges.items() if its is port]:
            exchange.abandoned(why)

    def _close(self, at_once: bool) -> None:
        self._stop.set()
        if at_once:
            self._patience.cancel()

    # -- when the run has ended --

    def _settle_all(self, error: BaseException | None) -> None:
        """All who wait go on, and so does whoever comes later."""
        if error is not None and self._gone is None:
            self._gone = f"this gate has ended by an error: {type(error).__name__}: {error}"
        self._failure = error
        self.inbox.close()
        self._flush()
        while self._calls:
            self._settle(self._calls.pop())

    def _settle(self, call: Call, error: BaseException | None = None) -> None:
        if call.quiet:
            return
        if error is None:
            error = RuntimeError(self._gone)
            error.__cause__ = self._failure
        call.error = error
        call.port.deliver([call])

    def _undone(self, step: Step, arguments: tuple[Any, ...]) -> None:
        if step == self._start:
            self._settle(*arguments)
        elif step == self._reply:
            call, error, quiet = arguments
            call.quiet = quiet
            self._settle(call, error)


def _is_held(refusal: penstock.RequestAdmissionDenied) -> bool:
    """Whether a call that asked without a task is refused since new calls are held, for which one in a task waits."""
    return refusal.denied.by == "core" and refusal.reason == "no_capacity"


class _BeforeWaiting(trio.abc.Instrument):
    """Calls `flush` at the end of each turn of trio's loop, before it waits for the next."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush

    def before_io_wait(self, timeout: float) -> None:
        self._flush()


def _close_all() -> None:
    left = list(_runs)
    for run in left:
        run.close(at_once=True)
    for run in left:
        run.join(EXIT_GRACE)


def _forget_all() -> None:
    for run in tuple(_runs):
        run.forked()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget_all)
