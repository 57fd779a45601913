"""The contract suite of sinks: what every one must do, as tests. Make a subclass in your plugin's tests, and pytest
runs them all.

class TestMySink(SinkContract):
    def make_sink(self) -> object:
        return MyPlugin(MyPlugin.Config())
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pluggy
import trio
import trio.testing

from penstock.events.correlation import RuntimeCorrelation
from penstock.events.records import REQUEST_EVENT_KINDS, SCHEDULER_EVENT_KINDS, EventStream, RuntimeEvent, StreamName
from penstock.plugins.hookspecs import PenstockSpec
from penstock.sinks.drivers import SinkDrivers
from penstock.sinks.spec import SinkBinding, SinkSpec, take_many_of
from penstock.words.report import RunInfo, RunReport

__all__ = ["SinkContract", "one_of_each_event"]

_IDS = {"request_attempt_id": "a-1", "request_lease_id": "rl-1", "resource": "acme/small/chat"}
_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "scheduler": {"task_id": "t-1", "task_execution_id": "x-1", "task_lease_id": "tl-1", "group": "local/tests"},
    "request": {**_IDS, "task_execution_id": "x-1", "group": "acme/small/chat"},
}


def one_of_each_event(stream: StreamName) -> list[RuntimeEvent]:
    """The events of every kind of a stream, each twice: once with all its fields and once with those alone that every
    event has."""
    events: list[RuntimeEvent] = []
    correlation = RuntimeCorrelation("run-1", row_group="g-1", scheduling_group_kind="local", task_execution_id="x-1")
    diagnostics = {"before": 4.0, "after": 3.0, "dropped": 2, "first_sequence": 1, "last_sequence": 2}
    for kind in sorted({"scheduler": SCHEDULER_EVENT_KINDS, "request": REQUEST_EVENT_KINDS}[stream]):
        for fields in ({}, {**_FIELDS[stream], "reason_or_outcome": "success", "diagnostics": diagnostics}):
            events.append(
                RuntimeEvent(
                    stream=stream,
                    event_kind=kind,
                    captured_at_monotonic=float(len(events)),
                    sequence=len(events) + 1,
                    correlation=correlation if fields else None,
                    **fields,
                )
            )
    return events


class SinkContract:
    """The suite of one sink plugin. `make_sink` gives a fresh plugin object each time it is called."""

    def make_sink(self) -> object:
        """The plugin under test."""
        raise NotImplementedError

    def _connected(self) -> tuple[object, pluggy.HookRelay]:
        sink = self.make_sink()
        manager = pluggy.PluginManager("penstock")
        manager.add_hookspecs(PenstockSpec)
        manager.register(sink, "sink")
        manager.check_pending()
        return sink, manager.hook

    def test_it_listens_to_a_stream_and_misspells_no_hook(self) -> None:
        _, hook = self._connected()
        assert hook.penstock_scheduler_event.get_hookimpls() or hook.penstock_request_event.get_hookimpls()

    def test_it_says_how_it_wants_its_events(self) -> None:
        assert isinstance(getattr(self.make_sink(), "sink", SinkSpec()), SinkSpec)

    def test_it_takes_every_kind_of_event_with_and_without_details(self) -> None:
        sink, hook = self._connected()
        _carry(hook)
        _flush_of(sink)()

    def test_it_leaves_events_as_they_are(self) -> None:
        _, hook = self._connected()
        hook.penstock_run_started(run=_RUN)
        for stream, call in _calls(hook).items():
            events = one_of_each_event(stream)
            before = copy.deepcopy(events)
            for event in events:
                call(event=event)
            assert events == before
        hook.penstock_run_finished(report=_REPORT)

    def test_what_it_takes_many_at_once_it_leaves_as_it_is(self) -> None:
        sink, hook = self._connected()
        take_many = take_many_of(sink)
        if take_many is None:
            return
        hook.penstock_run_started(run=_RUN)
        events = (*one_of_each_event("scheduler"), *one_of_each_event("request"))
        before = copy.deepcopy(events)
        take_many(events)
        _flush_of(sink)()
        hook.penstock_run_finished(report=_REPORT)
        assert events == before

    def test_it_can_be_flushed_at_any_time(self) -> None:
        sink, hook = self._connected()
        flush = _flush_of(sink)
        flush()
        hook.penstock_run_started(run=_RUN)
        flush()
        hook.penstock_run_finished(report=_REPORT)
        flush()
        flush()

    def test_it_serves_one_run_after_another(self) -> None:
        _, hook = self._connected()
        _carry(hook)
        _carry(hook)

    def test_a_run_may_end_before_anything_happened(self) -> None:
        _, hook = self._connected()
        hook.penstock_run_started(run=_RUN)
        hook.penstock_run_finished(report=_REPORT)

    def test_it_works_behind_the_drivers_of_a_run(self) -> None:
        sink, hook = self._connected()
        streams = {"scheduler": EventStream("scheduler"), "request": EventStream("request")}
        binding = SinkBinding(
            name="sink",
            spec=getattr(sink, "sink", SinkSpec()),
            scheduler_event=lambda event: hook.penstock_scheduler_event(event=event) and None,
            request_event=lambda event: hook.penstock_request_event(event=event) and None,
            take_many=take_many_of(sink),
            flush=_flush_of(sink),
        )
        drivers = SinkDrivers([binding], streams["scheduler"], streams["request"])

        async def run() -> None:
            hook.penstock_run_started(run=_RUN)
            async with drivers:
                for kind in sorted(SCHEDULER_EVENT_KINDS):
                    streams["scheduler"].record(kind, trio.current_time())
                for kind in sorted(REQUEST_EVENT_KINDS):
                    streams["request"].record(kind, trio.current_time())
                for stream in streams.values():
                    stream.deliver()
            hook.penstock_run_finished(report=_REPORT)

        trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))
        assert drivers.diagnostics() == {}


_RUN = RunInfo(run_id="run-1", started_at=0.0, seed=0, plugins=("sink",))
_REPORT = RunReport(run_id="run-1", started_at=0.0, finished_at=1.0)


def _calls(hook: pluggy.HookRelay) -> Mapping[StreamName, Callable[..., object]]:
    return {"scheduler": hook.penstock_scheduler_event, "request": hook.penstock_request_event}


def _carry(hook: pluggy.HookRelay) -> None:
    """Call every hook, as a run does in which everything happens."""
    hook.penstock_run_started(run=_RUN)
    for stream, call in _calls(hook).items():
        for event in one_of_each_event(stream):
            call(event=event)
    hook.penstock_run_finished(report=_REPORT)


def _flush_of(sink: object) -> Callable[[], None]:
    flush: Callable[[], None] = getattr(sink, "flush", lambda: None)
    return flush
