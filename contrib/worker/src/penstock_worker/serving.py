"""A worker from its start to its exit code, between a stream of lines in and a stream of lines out.

It ends in one of these ways, and whatever was read is answered first:

    input ends          all that was read is done; 0
    SIGTERM, SIGINT     what runs may finish within the grace; a second signal cuts that short; 0
    the parent is gone  what runs is cancelled; 1, or 0 where its input had ended and all was answered
    anything else       an error of the configuration (2), of `@load`, of a plugin or of the worker itself (1)

The parent loses what is written just before an exit, so none comes within `LINGER` seconds of the last line.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from math import inf
from typing import Any, Final

import attrs
import trio

from penstock import ConfigError, PenstockError, PluginError, open_scheduler
from penstock_worker.answers import READY, start_error, words_of
from penstock_worker.framing import LineSplitter
from penstock_worker.handlers import Handlers
from penstock_worker.outbox import Outbox, OutboxClosed
from penstock_worker.settings import WorkerSettings
from penstock_worker.tasks import Tasks
from penstock_worker.threads import WorkerThreads

__all__ = ["LINGER", "LoadFailed", "Prepared", "WorkerRun", "exit_code_of"]

log: Final = logging.getLogger("penstock.worker")

LINGER: Final = 0.5
"""Seconds that pass between the last line and the exit."""

LAST_WRITES: Final = 1.0
"""Seconds beyond the grace in which the parent may read what was answered."""

LONGEST_LINE: Final = 64 * 1024 * 1024
"""Bytes of a line from the parent."""

DONE: Final = 0
FAILED: Final = 1
WRONG_CONFIGURATION: Final = 2


class LoadFailed(PenstockError):
    """`@load` raised."""

    def __init__(self, words: str) -> None:
        super().__init__(f"@load failed: {words}")


@attrs.frozen
class Prepared:
    """What a run begins with: its handlers and settings, and what a plain `@load` returned."""

    handlers: Handlers
    settings: WorkerSettings
    context: Any = None
    plugins: tuple[object, ...] = ()


class WorkerRun:
    """One run of a worker: lines from `source`, answers to `sink`.

    `signals` gives the signals that end it; `gone` is a wait until nobody reads the answers any more. With `once` it
    ends with the first task.
    """

    def __init__(
        self,
        prepared: Prepared,
        source: trio.abc.ReceiveStream,
        sink: trio.abc.SendStream,
        *,
        signals: AbstractContextManager[AsyncIterator[int]],
        gone: Callable[[], Awaitable[None]] = trio.sleep_forever,
        once: bool = False,
    ) -> None:
        self._prepared = prepared
        self._source = source
        self._signals = signals
        self._gone = gone
        self._once = once
        self._outbox = Outbox(sink)
        self._tasks: Tasks | None = None
        self._broken = False
        self._gone_early = False
        self._all_done = False
        self._stopping = False
        self._work = trio.CancelScope()
        self._reading = trio.CancelScope()
        self._last_writes = trio.CancelScope()

    async def run(self) -> int:
        """The exit code, once all is answered and written."""
        with self._signals as signals:
            async with trio.open_nursery() as beside:
                beside.start_soon(self._heed, signals)
                beside.start_soon(self._write)
                beside.start_soon(self._watch_parent)
                code = await self._carry_out()
                if self._tasks is not None:
                    self._tasks.answer_rest("the worker ended before the task was done")
                with self._last_writes:
                    await self._outbox.empty()
                if self._outbox.last_written is not None and not self._broken:
                    await trio.sleep_until(self._outbox.last_written + LINGER)
                beside.cancel_scope.cancel()
        return FAILED if self._gone_early else code

    async def _carry_out(self) -> int:
        code = DONE
        with self._work:
            try:
                await self._serve()
            except Exception as error:
                log.error("the worker ends: %s", words_of(error), exc_info=error.__cause__ or error)
                if self._tasks is not None:
                    code = FAILED
                else:
                    code = exit_code_of(error)
                    self._outbox.put(start_error(error))
        return code

    async def _serve(self) -> None:
        prepared = self._prepared
        plugins = (*prepared.plugins, WorkerThreads(prepared.settings.workers))
        async with open_scheduler(prepared.settings.config, plugins=plugins) as scheduler:
            context = await _load(prepared)
            async with trio.open_nursery() as timers:
                self._tasks = Tasks(prepared.handlers, prepared.settings, context, self._outbox, scheduler, timers)
                self._outbox.put(READY)
                with self._reading, suppress(OutboxClosed):
                    await self._read(self._tasks)
                with scheduler.expect_progress():
                    await self._tasks.all_answered()
                self._all_done = True
                if scheduler.progress["unfinished"]:  # threads that were answered for, and do not return
                    scheduler.cancel()
                timers.cancel_scope.cancel()

    async def _read(self, tasks: Tasks) -> None:
        lines = LineSplitter(LONGEST_LINE)
        while data := await self._source.receive_some():
            for line in lines.feed(bytes(data)):
                if tasks.receive(line) and self._once:
                    return
                await tasks.room()
        for line in lines.end():
            tasks.receive(line)

    async def _heed(self, signals: AsyncIterator[int]) -> None:
        async for _ in signals:
            if self._stopping or self._tasks is None:
                self._work.cancel()
                self._last_writes.deadline = min(self._last_writes.deadline, trio.current_time() + LAST_WRITES)
            else:
                grace = self._prepared.settings.worker.grace
                self._last_writes.deadline = trio.current_time() + grace + LAST_WRITES
                self._reading.cancel()
                self._tasks.stop()
            self._stopping = True

    async def _write(self) -> None:
        try:
            await self._outbox.write()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._parent_is_gone()

    async def _watch_parent(self) -> None:
        await self._gone()
        self._parent_is_gone()

    def _parent_is_gone(self) -> None:
        self._gone_early = not (self._all_done and self._outbox.is_empty)
        if self._gone_early:
            log.error("nobody reads the answers any more: the worker ends")
        self._broken = True
        self._outbox.close()
        self._work.cancel()
        self._last_writes.cancel()


def exit_code_of(error: BaseException) -> int:
    """The exit code of a worker that could not start."""
    return WRONG_CONFIGURATION if isinstance(error, ConfigError | PluginError) else FAILED


async def _load(prepared: Prepared) -> Any:
    """The context. Raises `LoadFailed` for whatever an async `@load` raises."""
    loader = prepared.handlers.loader
    if loader is None or not loader.is_async:
        return prepared.context
    try:
        return await loader.fn()
    except BaseException as error:
        if trio.current_effective_deadline() == -inf:
            raise
        raise LoadFailed(words_of(error)) from error
