"""The drivers that feed the two event streams to sink plugins: subscriptions, full buffers, disabled sinks, and
the end.

    async with SinkDrivers(bindings, scheduler_events, request_events) as drivers:
        ...                              # between two rounds, never inside a decision:
        if drivers.full:
            await drivers.drained()

An *inline* sink is called in the loop as events are delivered. A *buffered* one is fed through a bounded
buffer (`buffer.py`) by a thread of its own (`writers.py`); under virtual time (`virtual_time.py`)
the loop writes instead. A stream to which no sink listens stays inactive, so no record is built for it.

At the end every buffer is written out and every sink flushed, also when the run is being cancelled; that takes at most
`flush_timeout` seconds, and a sink that needs longer is disabled and named, with the number of events that it lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter
from types import TracebackType
from typing import Any, Final

import trio

from penstock.events.records import EventStream, Receiver
from penstock.sinks.spec import SinkBinding
from penstock.sinks.virtual_time import in_virtual_time
from penstock.sinks.writers import BufferedWriter, GuardedSink, LoopWriter, ThreadWriter, call_in_loop
from penstock.words.plugin_failures import OnPluginFailure, unheard

__all__ = ["SinkDrivers"]

_is_full: Final = attrgetter("buffer.full")

FLUSH_TIMEOUT: Final = 30.0
"""Seconds that sinks together are given at the end of a run to write what is buffered."""


class SinkDrivers:
    """The feed of the sinks from the two streams, for as long as its `async with` block lasts.

    `bindings` are fed in their order. `failures` is how many errors in a row disable a sink. Nothing that
    a sink raises leaves this class; `on_failure` is called with it, also in a sink's own thread.
    """

    def __init__(
        self,
        bindings: Sequence[SinkBinding],
        scheduler_events: EventStream,
        request_events: EventStream,
        *,
        failures: int = 10,
        flush_timeout: float = FLUSH_TIMEOUT,
        on_failure: OnPluginFailure = unheard,
    ) -> None:
        self._bindings = tuple(bindings)
        self._streams = (scheduler_events, request_events)
        self._failures = failures
        self._on_failure = on_failure
        self._flush_timeout = flush_timeout
        self._sinks: dict[str, GuardedSink] = {}
        self._writers: list[BufferedWriter] = []
        self._subscriptions: dict[str, list[tuple[EventStream, Receiver]]] = {}
        self._waiting_for_room = trio.lowlevel.ParkingLot()

    @property
    def full(self) -> bool:
        """Whether a sink that must not lose anything has no room: pause before making more events."""
        return any(map(_is_full, self._writers))

    async def drained(self) -> None:
        """Wait until no sink is `full`. Returns at once, without a checkpoint, if none is."""
        while self.full:
            await self._waiting_for_room.park()

    @property
    def disabled(self) -> Mapping[str, str]:
        """The sinks that are called no more: plugin name to the reason."""
        return {name: sink.disabled for name, sink in self._sinks.items() if sink.disabled is not None}

    @property
    def failed(self) -> Mapping[str, int]:
        """The number of calls that raised: plugin name to count, for sinks that ever did."""
        return {name: sink.failed for name, sink in self._sinks.items() if sink.failed}

    @property
    def dropped(self) -> Mapping[str, int]:
        """The number of events that were lost to a full buffer: plugin name to count, for sinks that lost any."""
        return {w.sink.binding.name: w.buffer.dropped for w in self._writers if w.buffer.dropped}

    def diagnostics(self) -> Mapping[str, Mapping[str, Any]]:
        """The failures of sinks, by kind and plugin name; empty if there are none. JSON-safe."""
        kinds = {"sinks_disabled": self.disabled, "sink_errors": self.failed, "events_dropped": self.dropped}
        return {kind: figures for kind, figures in kinds.items() if figures}

    async def __aenter__(self) -> SinkDrivers:
        virtual = in_virtual_time()
        token = trio.lowlevel.current_trio_token()
        for binding in self._bindings:
            name = binding.name
            unsubscribe = partial(call_in_loop, token, partial(self._unsubscribe, name))
            sink = self._sinks[name] = GuardedSink(binding, self._failures, unsubscribe, self._on_failure)
            receiver: Receiver = sink.write_all
            if binding.spec.mode == "buffered":
                writer: BufferedWriter = (LoopWriter if virtual else ThreadWriter)(sink, self._on_room)
                self._writers.append(writer)
                receiver = writer.put_all
            hooks = (binding.scheduler_event, binding.request_event)
            for stream, hook in zip(self._streams, hooks, strict=True):
                if hook is not None:
                    stream.subscribe_to_all(receiver, binding.spec.kinds)
                    self._subscriptions.setdefault(name, []).append((stream, receiver))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for name in self._sinks:
            self._unsubscribe(name)
        self._close_all()
        with trio.move_on_after(self._flush_timeout, shield=True):
            for writer in self._writers:
                await writer.closed()
        for writer in self._writers:
            if not writer.finished:
                lost = len(writer.buffer)
                writer.sink.disable(f"did not finish within {self._flush_timeout:g} s; up to {lost} events are lost")
        self._flush_inline()

    @trio.lowlevel.enable_ki_protection
    def _close_all(self) -> None:
        for writer in self._writers:
            writer.close()

    @trio.lowlevel.enable_ki_protection  # what a sink raises is caught, and a real Ctrl+C is not to be among it
    def _flush_inline(self) -> None:
        for sink in self._sinks.values():
            if sink.binding.spec.mode == "inline":
                sink.flush()

    def _on_room(self) -> None:
        self._waiting_for_room.unpark_all()

    def _unsubscribe(self, name: str) -> None:
        """End the subscriptions of a sink. May be called again."""
        for stream, receiver in self._subscriptions.pop(name, ()):
            stream.unsubscribe(receiver)
