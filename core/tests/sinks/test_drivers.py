"""Sinks are fed in order, cannot hurt the run, and have everything at its end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from penstock import ConfigError, EventStream, RuntimeEvent, SinkBinding, SinkSpec
from penstock.sinks.drivers import SinkDrivers
from penstock.sinks.spec import take_many_of

LOSSLESS = SinkSpec(mode="buffered", on_full="wait", buffer=4)
DROPPING = SinkSpec(mode="buffered", on_full="drop", buffer=4)
SPECS = [SinkSpec(), LOSSLESS, DROPPING]


class Sink:
    """A sink that records its calls, and does first what a test wants it to do."""

    def __init__(self, before: Callable[[RuntimeEvent], None] = lambda event: None) -> None:
        self.taken: list[str] = []
        self.threads: set[threading.Thread] = set()
        self._before = before

    def write(self, event: RuntimeEvent) -> None:
        self.threads.add(threading.current_thread())
        self._before(event)
        self.taken.append(f"{event.stream} {event.sequence}")

    def flush(self) -> None:
        self.taken.append("flush")

    @property
    def written(self) -> list[str]:
        return [line for line in self.taken if line != "flush"]

    def bound(self, spec: SinkSpec, name: str = "mine") -> SinkBinding:
        return SinkBinding(name=name, spec=spec, scheduler_event=self.write, request_event=self.write, flush=self.flush)


class Run:
    """Two streams, and sinks on them."""

    def __init__(self, bindings: Sequence[SinkBinding], *, failures: int = 10, flush_timeout: float = 30.0) -> None:
        self.scheduler_events = EventStream("scheduler")
        self.request_events = EventStream("request")
        self.failures: list[tuple[str, str, str]] = []
        self.drivers = SinkDrivers(
            bindings,
            self.scheduler_events,
            self.request_events,
            failures=failures,
            flush_timeout=flush_timeout,
            on_failure=lambda plugin, hook, error, _=None: self.failures.append((plugin, hook, str(error))),
        )

    def tell(self, count: int = 1) -> None:
        for _ in range(count):
            self.scheduler_events.record("selected", trio.current_time())
        self.scheduler_events.deliver()


def raises(event: RuntimeEvent) -> None:
    raise ValueError(f"no room for {event.sequence}")


# -- what every sink gets --


@pytest.mark.parametrize("spec", SPECS)
async def test_a_sink_gets_both_streams_in_the_order_of_delivery(spec: SinkSpec, autojump_clock: MockClock) -> None:
    sink = Sink()
    run = Run([sink.bound(spec)])
    async with run.drivers:
        run.tell()
        run.request_events.record("model_request_started", 0.0)
        run.request_events.deliver()
        run.tell()
    assert sink.written == ["scheduler 1", "request 1", "scheduler 2"]


@pytest.mark.parametrize("spec", SPECS)
async def test_everything_is_written_and_flushed_at_the_end(spec: SinkSpec, autojump_clock: MockClock) -> None:
    sink = Sink()
    run = Run([sink.bound(spec)])
    async with run.drivers:
        run.tell(3)
    assert sink.written == ["scheduler 1", "scheduler 2", "scheduler 3"]
    assert sink.taken[-1] == "flush"


@pytest.mark.parametrize("spec", SPECS)
async def test_everything_is_written_also_when_the_run_is_cancelled(spec: SinkSpec, autojump_clock: MockClock) -> None:
    sink = Sink()
    run = Run([sink.bound(spec)])
    with trio.CancelScope() as scope:
        async with run.drivers:
            run.tell(3)
            scope.cancel()
            await trio.sleep_forever()
    assert sink.written == ["scheduler 1", "scheduler 2", "scheduler 3"]
    assert sink.taken[-1] == "flush"


@pytest.mark.parametrize("spec", SPECS)
async def test_an_error_of_the_run_leaves_unchanged(spec: SinkSpec, autojump_clock: MockClock) -> None:
    run = Run([Sink().bound(spec)])
    mine = LookupError("mine")
    with pytest.raises(LookupError) as caught:
        async with run.drivers:
            raise mine
    assert caught.value is mine


async def test_no_record_is_built_for_a_stream_that_no_sink_listens_to(autojump_clock: MockClock) -> None:
    sink = Sink()
    run = Run([SinkBinding(name="mine", scheduler_event=sink.write)])
    async with run.drivers:
        assert (run.scheduler_events.active, run.request_events.active) == (True, False)
    assert not run.scheduler_events.active


async def test_without_sinks_both_streams_stay_inactive(autojump_clock: MockClock) -> None:
    run = Run([])
    async with run.drivers:
        assert not run.scheduler_events.active
        assert not run.request_events.active
        assert not run.drivers.full


async def test_under_virtual_time_a_buffered_sink_is_written_in_the_loop(autojump_clock: MockClock) -> None:
    sink = Sink()
    run = Run([sink.bound(LOSSLESS)])
    async with run.drivers:
        run.tell()
        taken_at_once = list(sink.taken)
        await wait_all_tasks_blocked()
        taken_soon = list(sink.taken)
    assert (taken_at_once, taken_soon) == ([], ["scheduler 1", "flush"])
    assert sink.threads == {threading.current_thread()}


# -- a sink that takes many at once --


class ManyAtOnce(Sink):
    """A sink that records how many it was given at once."""

    def __init__(self, before: Callable[[RuntimeEvent], None] = lambda event: None) -> None:
        super().__init__(before)
        self.at_once: list[int] = []

    def take_many(self, events: Sequence[RuntimeEvent]) -> None:
        self.at_once.append(len(events))
        for event in events:
            self.write(event)

    def bound(self, spec: SinkSpec, name: str = "mine") -> SinkBinding:
        return attrs.evolve(super().bound(spec, name), take_many=self.take_many)


@pytest.mark.parametrize("spec", SPECS)
async def test_a_sink_that_takes_many_gets_what_was_delivered_together(
    spec: SinkSpec, autojump_clock: MockClock
) -> None:
    sink = ManyAtOnce()
    run = Run([sink.bound(spec)])
    async with run.drivers:
        run.tell(2)
        await wait_all_tasks_blocked()
        run.request_events.record("model_request_started", 0.0)
        run.request_events.deliver()
    assert sink.written == ["scheduler 1", "scheduler 2", "request 1"]
    assert sink.at_once == [2, 1]


@pytest.mark.parametrize("spec", SPECS)
async def test_a_sink_that_takes_many_gets_the_streams_alone_that_it_listens_to(
    spec: SinkSpec, autojump_clock: MockClock
) -> None:
    sink = ManyAtOnce()
    run = Run([attrs.evolve(sink.bound(spec), request_event=None)])
    async with run.drivers:
        run.tell()
        run.request_events.record("model_request_started", 0.0)
        run.request_events.deliver()
    assert sink.written == ["scheduler 1"]


@pytest.mark.parametrize("spec", SPECS)
async def test_what_is_raised_about_many_is_one_error(spec: SinkSpec, autojump_clock: MockClock) -> None:
    run = Run([ManyAtOnce(raises).bound(spec)], failures=2)
    async with run.drivers:
        run.tell(2)
        await wait_all_tasks_blocked()
        run.tell(2)
        await wait_all_tasks_blocked()
        run.tell(2)
    assert run.failures == [("mine", "take_many", f"no room for {number}") for number in (1, 3)]
    assert run.drivers.disabled == {"mine": "raised 2 times in a row, at last ValueError"}


async def test_a_sink_that_changes_what_it_is_given_takes_nothing_from_others(autojump_clock: MockClock) -> None:
    def empty(events: Any) -> None:
        events.clear()

    good = Sink()
    bad = SinkBinding(name="bad", scheduler_event=good.write, take_many=empty)
    run = Run([bad, good.bound(SinkSpec(), "good")])
    async with run.drivers:
        run.tell(2)
    assert good.written == ["scheduler 1", "scheduler 2"]
    assert run.drivers.failed == {"bad": 1}


@pytest.mark.parametrize("many", [True, False])
async def test_a_sink_is_never_told_of_its_own_errors_but_of_those_of_others(
    many: bool, autojump_clock: MockClock
) -> None:
    def fails_once(event: RuntimeEvent) -> None:
        if event.sequence == 1:
            raise ValueError("first")

    sink = (ManyAtOnce if many else Sink)(fails_once)
    run = Run([sink.bound(SinkSpec())])
    told = [("mine", "take_many"), ("mine", "penstock_scheduler_event"), ("mine", "penstock_task_policy")]
    told += [("mine", "flush"), ("other", "take_many")]
    async with run.drivers:
        run.tell()
        for plugin, hook in told:
            diagnostics = {"plugin": plugin, "hook": hook, "place": "", "count": 1}
            run.scheduler_events.record("plugin_error", 0.0, diagnostics=diagnostics)
        run.scheduler_events.deliver()
    assert sink.written == ["scheduler 4", "scheduler 6"]


@pytest.mark.parametrize("spec", SPECS)
async def test_where_there_is_nothing_but_its_own_errors_a_sink_that_takes_many_is_not_called(
    spec: SinkSpec, autojump_clock: MockClock
) -> None:
    sink = ManyAtOnce(raises)
    run = Run([sink.bound(spec)])
    async with run.drivers:
        run.tell()
        await wait_all_tasks_blocked()
        own = {"plugin": "mine", "hook": "take_many", "place": "", "count": 1}
        run.scheduler_events.record("plugin_error", 0.0, diagnostics=own)
        run.scheduler_events.deliver()
    assert sink.at_once == [1]


@pytest.mark.parametrize("spec", SPECS)
async def test_a_sink_that_yields_takes_nothing_and_is_told_so(spec: SinkSpec, autojump_clock: MockClock) -> None:
    def take(events: Sequence[RuntimeEvent]) -> Any:
        yield from events

    run = Run([attrs.evolve(Sink().bound(spec), take_many=take)], failures=1)
    async with run.drivers:
        run.tell()
    assert run.failures[0][:2] == ("mine", "take_many")
    assert "must not yield" in run.failures[0][2]
    assert list(run.drivers.disabled) == ["mine"]


class Kept:
    """The class of a sink that takes many."""

    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        """One by one."""

    def take_many(self, events: Sequence[RuntimeEvent]) -> None:
        """All at once."""


class ItsOwnHook(Kept):
    """What it takes is not what it inherits."""

    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        """Its own."""


class ItsOwnHookThatTakesMany(ItsOwnHook):
    """It says how it takes many."""

    def take_many(self, events: Sequence[RuntimeEvent]) -> None:
        """Its own."""


def test_a_hook_that_a_class_has_made_otherwise_is_not_passed_over_for_what_it_inherits() -> None:
    sinks = [Kept(), ItsOwnHook(), ItsOwnHookThatTakesMany(), Sink()]
    assert [take_many_of(sink) is not None for sink in sinks] == [True, False, True, False]


# -- a full buffer --


async def test_a_sink_that_drops_gets_a_gap_record(autojump_clock: MockClock) -> None:
    sink = Sink()
    run = Run([sink.bound(DROPPING)])
    async with run.drivers:
        run.tell(7)
        assert not run.drivers.full
    assert sink.written == ["scheduler 1", "scheduler 2", "scheduler 3", "scheduler 4", "scheduler 7"]
    assert run.drivers.dropped == {"mine": 3}
    assert run.drivers.diagnostics() == {"events_dropped": {"mine": 3}}


async def test_a_full_sink_that_waits_pauses_the_run_and_loses_nothing(autojump_clock: MockClock) -> None:
    sink = Sink()
    run = Run([sink.bound(LOSSLESS)])
    async with run.drivers:
        run.tell(6)
        full = [run.drivers.full]
        await run.drivers.drained()
        full.append(run.drivers.full)
        assert full == [True, False]
        assert len(sink.written) == 6
    assert run.drivers.diagnostics() == {}


async def test_waiting_for_a_full_sink_can_be_cancelled(autojump_clock: MockClock) -> None:
    run = Run([Sink().bound(LOSSLESS)])
    async with run.drivers:
        run.tell(4)
        with trio.move_on_after(0) as scope:
            await run.drivers.drained()
        assert scope.cancelled_caught


async def test_sinks_that_have_room_pause_nothing(autojump_clock: MockClock) -> None:
    run = Run([Sink().bound(LOSSLESS)])
    async with run.drivers:
        run.tell(3)
        with trio.CancelScope() as scope:
            scope.cancel()
            await run.drivers.drained()
        assert not scope.cancelled_caught


# -- a sink that raises --


@pytest.mark.parametrize("spec", SPECS)
async def test_every_error_is_reported_with_the_plugins_name_and_counted(
    spec: SinkSpec, autojump_clock: MockClock
) -> None:
    run = Run([Sink(raises).bound(spec)])
    async with run.drivers:
        run.tell(2)
    assert run.failures == [("mine", "penstock_scheduler_event", f"no room for {number}") for number in (1, 2)]
    assert run.drivers.failed == {"mine": 2}
    assert run.drivers.disabled == {}


@pytest.mark.parametrize("spec", SPECS)
async def test_a_sink_that_keeps_raising_is_disabled_and_the_others_go_on(
    spec: SinkSpec, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = Sink(raises), Sink()
    run = Run([bad.bound(spec, "bad"), good.bound(spec, "good")], failures=2)
    with caplog.at_level(logging.ERROR, "penstock"):
        async with run.drivers:
            run.tell(4)
    assert run.drivers.disabled == {"bad": "raised 2 times in a row, at last ValueError"}
    assert run.drivers.failed == {"bad": 2}
    assert len(good.written) == 4
    assert [record.getMessage() for record in caplog.records] == [
        "plugin 'bad': its sink is disabled: it raised 2 times in a row, at last ValueError"
    ]


async def test_after_the_only_sink_is_disabled_no_record_is_built(autojump_clock: MockClock) -> None:
    run = Run([Sink(raises).bound(SinkSpec())], failures=1)
    async with run.drivers:
        run.tell()
        await wait_all_tasks_blocked()
        assert not run.scheduler_events.active


async def test_errors_that_are_not_in_a_row_disable_nothing(autojump_clock: MockClock) -> None:
    def every_other(event: RuntimeEvent) -> None:
        if event.sequence % 2:
            raise ValueError("odd")

    sink = Sink(every_other)
    run = Run([sink.bound(SinkSpec())], failures=2)
    async with run.drivers:
        run.tell(6)
    assert run.drivers.disabled == {}
    assert run.drivers.failed == {"mine": 3}
    assert sink.written == ["scheduler 2", "scheduler 4", "scheduler 6"]


async def test_a_hook_that_works_does_not_hide_a_flush_that_never_does(autojump_clock: MockClock) -> None:
    def full_disk() -> None:
        raise OSError("no space left")

    sink = Sink()
    run = Run([SinkBinding(name="mine", spec=LOSSLESS, scheduler_event=sink.write, flush=full_disk)], failures=2)
    async with run.drivers:
        for _ in range(3):
            run.tell()
            await wait_all_tasks_blocked()
    assert run.drivers.disabled == {"mine": "raised 2 times in a row, at last OSError"}


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(
    "error",
    [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseExceptionGroup("both", [KeyboardInterrupt()])],
    ids=lambda error: type(error).__name__,
)
async def test_a_sink_that_raises_what_is_no_exception_ends_itself_and_not_the_run(
    error: BaseException, spec: SinkSpec, autojump_clock: MockClock
) -> None:
    def leave(event: RuntimeEvent) -> None:
        raise error

    good = Sink()
    run = Run([Sink(leave).bound(spec), good.bound(spec, "good")])
    async with run.drivers:
        run.tell(2)
    assert run.drivers.failed == {"mine": 1}
    assert run.drivers.disabled == {"mine": f"raised {type(error).__name__}, which is no Exception"}
    assert len(good.written) == 2


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("at", ["event", "flush"])
async def test_a_sink_that_raises_a_cancellation_of_its_own_ends_itself_and_not_the_run(
    at: str, spec: SinkSpec, cancellation_that_is_over: trio.Cancelled, autojump_clock: MockClock
) -> None:
    def leave(*_: object) -> None:
        raise cancellation_that_is_over

    good = Sink()
    mine = Sink(leave) if at == "event" else Sink()
    if at == "flush":
        mine.flush = leave  # type: ignore[method-assign]
    run = Run([mine.bound(spec), good.bound(spec, "good")])
    try:
        async with run.drivers:
            run.tell(2)
    except trio.Cancelled:  # by which a test ends, but does not fail
        pytest.fail("it goes on through the run")
    assert run.drivers.disabled == {"mine": "raised Cancelled, which is no Exception"}
    assert len(good.written) == 2


async def test_a_full_sink_that_is_disabled_holds_nothing_up(autojump_clock: MockClock) -> None:
    run = Run([Sink(raises).bound(LOSSLESS)], failures=1)
    async with run.drivers:
        run.tell(6)
        await run.drivers.drained()
    assert list(run.drivers.disabled) == ["mine"]


# -- real threads: they wait for one another, never for time to pass --


class Gate:
    """Keeps a sink's thread until the test lets it go, and lets the test wait until it is there."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._token = trio.lowlevel.current_trio_token()
        self.reached = trio.Event()

    def hold(self, _event: RuntimeEvent) -> None:
        self._token.run_sync_soon(self.reached.set, idempotent=True)
        assert self._open.wait(60), "the test has not opened the gate"

    def open(self) -> None:
        self._open.set()


@pytest.mark.loopback
async def test_a_buffered_sink_has_one_thread_of_its_own_that_ends_with_the_run() -> None:
    sinks = [Sink(), Sink()]
    run = Run([sink.bound(LOSSLESS, f"sink {n}") for n, sink in enumerate(sinks)])
    async with run.drivers:
        for _ in range(50):
            run.tell()
            await run.drivers.drained()
    threads = sinks[0].threads | sinks[1].threads
    assert len(threads) == 2
    assert threading.current_thread() not in threads
    assert not any(thread.is_alive() for thread in threads)
    assert sinks[0].written == sinks[1].written == [f"scheduler {n}" for n in range(1, 51)]


@pytest.mark.loopback
async def test_a_thread_that_is_behind_pauses_the_run_until_it_has_caught_up() -> None:
    gate = Gate()
    sink = Sink(gate.hold)
    run = Run([sink.bound(LOSSLESS)])
    async with run.drivers, trio.open_nursery() as nursery:
        run.tell(6)
        await gate.reached.wait()
        assert run.drivers.full
        nursery.start_soon(run.drivers.drained)
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        gate.open()
    assert len(sink.written) == 6


@pytest.mark.loopback
async def test_the_loop_goes_on_while_a_sink_that_drops_hangs() -> None:
    gate = Gate()
    sink = Sink(gate.hold)
    run = Run([sink.bound(DROPPING)])
    async with run.drivers:
        run.tell()
        await gate.reached.wait()
        run.tell(99)
        gate.open()
    assert sink.written == ["scheduler 1", "scheduler 2", "scheduler 3", "scheduler 4", "scheduler 100"]
    assert run.drivers.dropped == {"mine": 96}


@pytest.mark.loopback
async def test_a_sink_that_never_returns_is_disabled_at_the_end_and_the_rest_is_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate()
    hanging, good = Sink(gate.hold), Sink()
    run = Run([hanging.bound(LOSSLESS, "hanging"), good.bound(LOSSLESS, "good")], flush_timeout=1.0)
    with caplog.at_level(logging.ERROR, "penstock"), trio.CancelScope() as scope:
        async with run.drivers:
            run.tell(3)
            await gate.reached.wait()
            scope.cancel()
    gate.open()
    assert run.drivers.disabled == {"hanging": "did not finish within 1 s; up to 3 events are lost"}
    assert "plugin 'hanging': its sink is disabled" in caplog.text
    assert good.written == ["scheduler 1", "scheduler 2", "scheduler 3"]


@pytest.mark.loopback
async def test_a_sink_that_returns_after_the_run_is_over_is_called_no_more() -> None:
    gate = Gate()
    sink = Sink(gate.hold)
    run = Run([sink.bound(LOSSLESS)], flush_timeout=0)
    async with run.drivers:
        run.tell(3)
        await gate.reached.wait()
    gate.open()
    (thread,) = sink.threads
    await trio.to_thread.run_sync(thread.join)
    assert sink.taken == ["scheduler 1"]


@pytest.mark.parametrize("kinds", [frozenset({"selektiert"}), {"selected"}, ["selected"]])
def test_kinds_that_no_stream_has_are_refused(kinds: Any) -> None:
    with pytest.raises(ConfigError, match="event kinds"):
        SinkSpec(kinds=kinds)
