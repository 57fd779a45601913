"""The writers that bring events from the loop to a sink's code: at once, in the loop a little later, or in a thread.

Whatever a sink does, the run goes on: `GuardedSink` is the one place where a plugin's sink is called. Its
errors are reported with the plugin's name and counted, and after so many in a row it is
disabled, visibly, and called no more; at once if it raises what is no `Exception`. Each hook, `take_many` and `flush`
have counts of their own, so that one that works does not hide one that never does. No sink is given its own errors.

`ThreadWriter` has a thread of its own, not one of trio's pool: a sink that hangs then holds up neither the pool nor the
end of the process. The loop appends an event without a lock while there is room, and takes the one lock to wake the
thread, and where the buffer is full; the thread sleeps on a condition, and wakes the loop through its token.
`LoopWriter` takes its place under virtual time, where a thread would race with the clock.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import trio

from penstock.events.records import RuntimeEvent
from penstock.sinks.buffer import SinkBuffer
from penstock.sinks.spec import SinkBinding
from penstock.words.plugin_failures import OnPluginFailure, refuse_generator

__all__ = ["BufferedWriter", "GuardedSink", "LoopWriter", "ThreadWriter", "call_in_loop"]

BATCH: Final = 256
"""The most events that are written between two calls of `flush`: what a kill can cost while events keep coming."""

LINGER: Final = 0.02
"""Seconds of real time that a writer thread waits for more events before it writes what there is."""

SINK_HOOKS: Final = frozenset({"penstock_scheduler_event", "penstock_request_event", "take_many", "flush"})

_log = logging.getLogger("penstock.sinks")


class GuardedSink:
    """One plugin's sink, which cannot hurt the run: errors are counted, and many in a row disable it.

    `on_disabled` is called once, and `on_failure` with each error, in whatever thread the sink was called in.
    """

    def __init__(
        self, binding: SinkBinding, failures: int, on_disabled: Callable[[], None], on_failure: OnPluginFailure
    ) -> None:
        self.binding = binding
        self.failed = 0
        """The number of calls that raised."""
        self.disabled: str | None = None
        """The reason why the sink is called no more; `None` while it works."""
        self._limit = failures
        self._on_disabled = on_disabled
        self._on_failure = on_failure
        self._in_a_row: dict[str, int] = {}  # by hook, of those that raised the last time
        self._hooks: dict[str, Callable[[RuntimeEvent], Any] | None]
        self._hooks = {"scheduler": binding.scheduler_event, "request": binding.request_event}

    def write_all(self, events: Sequence[RuntimeEvent]) -> None:
        """Give the sink events: at once, if it takes many, and else one by one."""
        if self.failed:
            events = [each for each in events if each.event_kind != "plugin_error" or not self._tells_of_itself(each)]
            if not events:
                return
        if self.binding.take_many is not None:
            self._call("take_many", self.binding.take_many, tuple(events))  # nobody writes it
            return
        hooks, in_a_row = self._hooks, self._in_a_row
        for event in events:
            hook = hooks[event.stream]
            if hook is None:
                continue
            try:
                if (answer := hook(event)) is not None:
                    refuse_generator(answer)
                if in_a_row:
                    in_a_row.pop(event.stream, None)
            except BaseException as error:
                self._note_failure(event.stream, error, hook)

    def flush(self) -> None:
        """Let the sink make durable what it was given, if it wants to."""
        if self.binding.flush is not None:
            self._call("flush", self.binding.flush)

    def _call(self, what: str, function: Callable[..., object], *given: object) -> None:
        if self.disabled is not None:
            return
        try:
            if (answer := function(*given)) is not None:
                refuse_generator(answer)
            self._in_a_row.pop(what, None)
        except BaseException as error:
            self._note_failure(what, error, function)

    def disable(self, reason: str) -> None:
        """Stop calling the sink, with a line in the log that gives the reason."""
        if self.disabled is None:
            self.disabled = reason
            self._hooks.update(scheduler=None, request=None)
            _log.error("plugin %r: its sink is disabled: it %s", self.binding.name, reason)
            self._on_disabled()

    def _note_failure(self, what: str, error: BaseException, function: Callable[..., Any]) -> None:
        hook = f"penstock_{what}_event" if what in self._hooks else what
        self.failed += 1
        in_a_row = self._in_a_row[what] = self._in_a_row.get(what, 0) + 1
        self._on_failure(self.binding.name, hook, error, function)
        if in_a_row >= self._limit:
            self.disable(f"raised {in_a_row} times in a row, at last {type(error).__name__}")
        elif not issubclass(type(error), Exception):  # by its type: what it says of its class may raise
            self.disable(f"raised {type(error).__name__}, which is no Exception")

    def _tells_of_itself(self, event: RuntimeEvent) -> bool:
        if event.diagnostics is None:
            return False
        return event.diagnostics["plugin"] == self.binding.name and event.diagnostics["hook"] in SINK_HOOKS


class BufferedWriter(ABC):
    """A writer that takes events in the loop and writes them a little later."""

    def __init__(self, sink: GuardedSink, on_room: Callable[[], None]) -> None:
        self.sink = sink
        self.buffer = SinkBuffer(sink.binding.spec)
        self.finished = False
        """Whether the sink has been closed and everything is written."""
        self._on_room = on_room
        self._token = trio.lowlevel.current_trio_token()

    @abstractmethod
    def put_all(self, events: Sequence[RuntimeEvent]) -> None:
        """Append events to the buffer. Called in the loop; never blocks and never raises."""

    @abstractmethod
    def close(self) -> None:
        """Stop taking events: write what is there, and flush."""

    @abstractmethod
    async def closed(self) -> None:
        """Wait until everything is written."""


class LoopWriter(BufferedWriter):
    """A writer in the loop, right after what the loop is doing: for virtual time."""

    def put_all(self, events: Sequence[RuntimeEvent]) -> None:
        for event in events:
            self.buffer.put(event)
        self._token.run_sync_soon(self._write_all, idempotent=True)

    def _write_all(self) -> None:
        while batch := self.buffer.take(BATCH):
            self.sink.write_all(batch)
            self.sink.flush()
            if self.buffer.written(len(batch)):
                self._on_room()

    def close(self) -> None:
        self._write_all()
        self.sink.flush()
        self.finished = True

    async def closed(self) -> None:
        await trio.lowlevel.checkpoint()


class ThreadWriter(BufferedWriter):
    """A writer in a thread that ends with `close`. A daemon, so a sink that hangs for ever cannot keep the
    process alive."""

    def __init__(self, sink: GuardedSink, on_room: Callable[[], None]) -> None:
        super().__init__(sink, on_room)
        self._lock = threading.Condition()
        self._closing = False
        self._idle = False
        self._lingers = False
        self._written = trio.Event()
        self._thread = threading.Thread(target=self._run, name=f"penstock-sink-{sink.binding.name}", daemon=True)
        self._thread.start()

    def put_all(self, events: Sequence[RuntimeEvent]) -> None:
        held = self.buffer.put_if_free(events)
        if not held:
            with self._lock:
                for event in events:
                    self.buffer.put(event)
        if self._idle or (self._lingers and not 0 < held < BATCH):  # looked at after the events are in the buffer
            with self._lock:
                self._idle = self._lingers = False
                self._lock.notify()

    def close(self) -> None:
        with self._lock:
            self._closing = True
            self._lock.notify()

    async def closed(self) -> None:
        await self._written.wait()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next_batch():
            self.sink.write_all(batch)
            self.sink.flush()
            with self._lock:
                made_room = self.buffer.written(len(batch))
            if made_room:
                call_in_loop(self._token, self._on_room)
        self.sink.flush()
        call_in_loop(self._token, self._finish)

    def _finish(self) -> None:
        self.finished = True
        self._written.set()

    def _next_batch(self) -> list[RuntimeEvent]:
        """The events to write next; empty when there will be no more."""
        with self._lock:
            # Set before the buffer is looked at, so that `put` sees it.
            self._idle = True
            while not (self.buffer.waiting or self._closing):
                self._lock.wait()
                self._idle = True
            self._idle = False
            if not (self._enough() or self._closing):
                self._lingers = True
                self._lock.wait(LINGER)  # woken for each event, it would take the interpreter from the loop each time
                self._lingers = False
            return self.buffer.take(BATCH)

    def _enough(self) -> bool:
        return len(self.buffer) >= BATCH or self.buffer.full


def call_in_loop(token: trio.lowlevel.TrioToken, what: Callable[[], Any]) -> None:
    """Have the loop call `what` soon, from any thread, if there still is a loop."""
    with suppress(trio.RunFinishedError):  # a sink may outlive the run
        token.run_sync_soon(what, idempotent=True)
