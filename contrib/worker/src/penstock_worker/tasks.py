"""Messages as tasks of the scheduler, and one answer for each, however its task ends.

Each task's group is its queue, so queues share the places by weight, and whatever stands in `[plugins]` decides as for
any other task. With one worker the scheduler is given one task at a time, in the order in which they came: so no plugin
and no configuration can change that order, or let two run.

A thread cannot be ended from outside. Where a plain handler outlasts its time limit its task is answered, and keeps its
place until the thread returns, since a place that was given on would let more handlers run than there are places. One
that has not returned after its limit once more is lost; when all places are, the worker can do nothing any more and
says so by ending.
"""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from typing import Any, Final

import attrs
import trio

from penstock import PenstockError, Scheduler, SchedulingMetadata, TaskHandle
from penstock_worker.answers import error_answer, failure_answer
from penstock_worker.book import Book, Entry
from penstock_worker.carrying_out import call_async, call_plain, overdue_answer
from penstock_worker.framing import LongLine
from penstock_worker.handlers import Handlers
from penstock_worker.messages import BadLine, Message, read_message
from penstock_worker.outbox import Outbox
from penstock_worker.settings import WorkerSettings
from penstock_worker.threads import THREADS

__all__ = ["Tasks", "WorkerStuck"]

log: Final = logging.getLogger("penstock.worker")

NOT_STARTED: Final = "the worker was stopped before the task started"
CUT_SHORT: Final = "the worker was stopped before the task was done"


class WorkerStuck(PenstockError):
    """Every place is held by a plain task that has long outlasted its time limit, and cannot be ended."""


@attrs.define(eq=False)
class Running:
    """A task that a thread carries out under a time limit."""

    entry: Entry
    ended: bool = False
    lost: bool = False
    timer: trio.CancelScope = attrs.field(factory=trio.CancelScope)


class Tasks:
    """The tasks of one run. `context` is what `@load` returned; `timers` are started in a nursery of the run's."""

    def __init__(
        self,
        handlers: Handlers,
        settings: WorkerSettings,
        context: Any,
        outbox: Outbox,
        scheduler: Scheduler,
        timers: trio.Nursery,
    ) -> None:
        self.book = Book(settings.worker.backlog)
        self._handlers = handlers
        self._context = context
        self._settings = settings
        self._longest = settings.worker.longest_answer
        self._outbox = outbox
        self._scheduler = scheduler
        self._timers = timers
        self._groups = {
            queue: SchedulingMetadata.local(queue, weight) for queue, weight in settings.worker.weights.items()
        }
        self._places = trio.Semaphore(settings.workers)
        self._loop = trio.lowlevel.current_trio_token()
        self._later: deque[Entry] = deque()
        self._one_runs = False
        self._stopping = False
        self._lost = 0
        self._fewer = trio.Event()

    # -- in

    def receive(self, line: bytes | LongLine) -> bool:
        """A line of the parent's is taken. Returns whether there was something to answer."""
        found = read_message(line)
        if found is None:
            return False
        if isinstance(found, BadLine):
            log.warning("a line of the parent's (id %.100r): %s", found.task_id, found.error)
            if found.task_id is not None:
                self._outbox.put(error_answer(found.task_id, found.error, longest=self._longest))
            return found.task_id is not None
        handler = self._handlers.of_type(found.type)
        if handler is None:
            words = self._handlers.unknown(found.type)
            self._outbox.put(error_answer(found.task_id, words, longest=self._longest))
        elif not self._repeats(found):
            self._take(self.book.add(found, handler))
        return True

    def _repeats(self, message: Message) -> bool:
        """Whether it is a task that is in flight already, whose answer serves both.

        The parent sends it again when it has given up waiting: it waits for one answer to the id, whichever comes.
        """
        others = self.book.same_id(message)
        if any(_same(each.message, message) for each in others):
            log.warning("task %.100r came again while it is in flight: one answer serves both", message.task_id)
            return True
        if others:
            log.warning(
                "two tasks in flight have the id %.100r: the parent cannot tell their answers apart", message.task_id
            )
        return False

    def _take(self, entry: Entry) -> None:
        if self._settings.sequential and self._one_runs:
            self._later.append(entry)
        else:
            self._start(entry)

    def _start(self, entry: Entry) -> None:
        message, handler = entry.message, entry.handler
        running = Running(entry)
        try:
            handle = self._scheduler.start_soon(
                self._run_async if handler.is_async else self._run_plain,
                running,
                runner="nursery" if handler.is_async else THREADS,
                group=self._groups.get(message.queue, message.queue),
                needs=handler.needs or None,
                labels=_labels(message),
            )
        except PenstockError as error:
            self._answer(entry, failure_answer(message.task_id, error, self._longest))
        else:
            self._one_runs = True
            handle.add_done_callback(partial(self._ended, running))

    # -- at work

    async def _run_async(self, running: Running) -> bytes:
        async with self._places:
            await self._outbox.room()
            limit = self._limit(running.entry)
            return await call_async(running.entry, self._context, limit, self._longest)

    def _run_plain(self, running: Running) -> bytes:
        """In a thread of the runner's."""
        if self._outbox.full:
            trio.from_thread.run(self._outbox.room)
        limit = self._limit(running.entry)
        if limit is not None:
            self._loop.run_sync_soon(self._begin_timer, running, limit)
        return call_plain(running.entry, self._context, self._longest)

    def _begin_timer(self, running: Running, limit: float) -> None:
        if not running.ended:
            self._timers.start_soon(self._time_out, running, limit)

    def _limit(self, entry: Entry) -> float | None:
        own = entry.handler.time_limit
        return self._settings.worker.time_limit if own is None else own

    async def _time_out(self, running: Running, limit: float) -> None:
        with running.timer:
            await trio.sleep(limit)
            self._answer(running.entry, overdue_answer(running.entry, limit, self._longest))
            await trio.sleep(limit)
            running.lost = True
            self._lost += 1
            if self._lost >= self._settings.workers:
                raise WorkerStuck(
                    f"the worker ends: all its places ({self._settings.workers}) are held by tasks that outlasted "
                    f"their time limit twice, {running.entry.message.task_id!r} the last of them"
                )

    # -- out

    def _ended(self, running: Running, handle: TaskHandle[bytes]) -> None:
        running.ended = True
        running.timer.cancel()
        self._lost -= running.lost
        entry = running.entry
        if not entry.answered:
            self._answer(entry, self._last_words(entry, handle))
        self._one_runs = False
        while self._later and not self._one_runs:
            self._start(self._later.popleft())

    def _last_words(self, entry: Entry, handle: TaskHandle[bytes]) -> bytes:
        if handle.status == "completed":
            return handle.result()
        if self._stopping or handle.error is None:
            words = CUT_SHORT if handle.attempts else NOT_STARTED
            return error_answer(entry.message.task_id, words, retry=True, longest=self._longest)
        return failure_answer(entry.message.task_id, handle.error, self._longest)

    def _answer(self, entry: Entry, line: bytes) -> None:
        if self.book.answered(entry):
            if not line:
                log.error("the id of a task is longer than an answer may be, which is therefore left out")
            self._outbox.put(line)
            fewer, self._fewer = self._fewer, trio.Event()
            fewer.set()

    # -- waiting, and the end

    async def room(self) -> None:
        """A wait until there is room for another line, and for its answer, which may be made at once. Raises
        `OutboxClosed`.
        """
        while self.book.full:
            await self._fewer.wait()
        if self._outbox.full:
            await self._outbox.room()

    async def all_answered(self) -> None:
        """A wait until everything is answered."""
        while len(self.book):
            await self._fewer.wait()

    def stop(self) -> None:
        """What has not started is answered, and does not start; what runs has the grace of `[worker]`."""
        if not self._stopping:
            self._stopping = True
            self._outbox.close()
            while self._later:
                entry = self._later.popleft()
                self._answer(entry, error_answer(entry.message.task_id, NOT_STARTED, retry=True, longest=self._longest))
            self._scheduler.shutdown()

    def answer_rest(self, words: str) -> None:
        """Whatever is not answered yet is answered with this error."""
        for entry in self.book:
            self._answer(entry, error_answer(entry.message.task_id, words, retry=True, longest=self._longest))


def _same(one: Message, other: Message) -> bool:
    try:
        return (one.type, one.payload) == (other.type, other.payload)
    except RecursionError:  # nested so deeply that it could be read, and cannot be compared
        return False


def _labels(message: Message) -> dict[str, str]:
    """What events and rules see of a message beside its queue: its id and type, where they are short enough."""
    given = {"task_id": message.task_id, "type": message.type or ""}
    return {name: value for name, value in given.items() if value and value.isascii() and len(value) <= 64}
