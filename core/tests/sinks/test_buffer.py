"""The buffer between the loop and a sink: its bound, its gaps, and when it asks to pause."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given, settings, strategies as st

from penstock import RuntimeEvent, SinkSpec
from penstock.events.records import StreamName
from penstock.sinks.buffer import SinkBuffer


def buffer_of(size: int, on_full: Literal["drop", "wait"]) -> SinkBuffer:
    return SinkBuffer(SinkSpec(mode="buffered", on_full=on_full, buffer=size))


def event(sequence: int, stream: StreamName = "scheduler") -> RuntimeEvent:
    kind = {"scheduler": "selected", "request": "model_request_started"}[stream]
    return RuntimeEvent(stream=stream, event_kind=kind, captured_at_monotonic=float(sequence), sequence=sequence)


def write_all(buffer: SinkBuffer) -> list[RuntimeEvent]:
    written: list[RuntimeEvent] = []
    while batch := buffer.take(3):
        written += batch
        buffer.written(len(batch))
    return written


def test_events_come_out_in_the_order_in_which_they_went_in() -> None:
    buffer = buffer_of(10, "drop")
    for n in range(1, 6):
        buffer.put(event(n))
    assert [e.sequence for e in write_all(buffer)] == [1, 2, 3, 4, 5]


def test_an_event_in_hand_still_takes_its_place() -> None:
    buffer = buffer_of(1, "drop")
    buffer.put(event(1))
    buffer.take(1)
    buffer.put(event(2))
    assert (len(buffer), buffer.dropped) == (1, 1)


def test_a_gap_record_stands_where_events_were_dropped() -> None:
    buffer = buffer_of(2, "drop")
    for n in range(1, 6):
        buffer.put(event(n))
    written = write_all(buffer)
    assert [(e.event_kind, e.sequence) for e in written] == [("selected", 1), ("selected", 2), ("events_dropped", 5)]
    assert written[-1].diagnostics == {"dropped": 3, "first_sequence": 3, "last_sequence": 5}
    assert (written[-1].stream, written[-1].captured_at_monotonic) == ("scheduler", 5.0)


def test_each_stream_has_a_gap_record_of_its_own() -> None:
    buffer = buffer_of(1, "drop")
    buffer.put(event(1))
    buffer.put(event(2))
    buffer.put(event(70, "request"))
    buffer.put(event(3))
    gaps = [e for e in write_all(buffer) if e.event_kind == "events_dropped"]
    assert [(e.stream, e.sequence) for e in gaps] == [("scheduler", 3), ("request", 70)]


def test_a_sink_that_drops_never_asks_to_pause() -> None:
    buffer = buffer_of(1, "drop")
    buffer.put(event(1))
    buffer.put(event(2))
    assert not buffer.full


def test_a_sink_that_waits_loses_nothing_and_asks_to_pause_until_half_is_free() -> None:
    buffer = buffer_of(4, "wait")
    asks = []
    for n in range(1, 6):
        buffer.put(event(n))
        asks.append(buffer.full)
    assert asks == [False, False, False, True, True]
    buffer.take(5)
    assert [(buffer.written(count), buffer.full) for count in (2, 1)] == [(False, True), (True, False)]
    assert buffer.dropped == 0


def test_more_cannot_be_written_than_was_taken() -> None:
    buffer = buffer_of(4, "wait")
    buffer.put(event(1))
    with pytest.raises(ValueError, match="1 events written, but only 0 were taken"):
        buffer.written(1)


steps = st.lists(st.tuples(st.sampled_from(["scheduler", "request", "write"]), st.integers(1, 4)), max_size=60)


@settings(max_examples=100)
@given(size=st.integers(1, 6), on_full=st.sampled_from(["drop", "wait"]), steps=steps)
def test_every_event_is_written_or_counted_in_a_gap(
    size: int, on_full: Literal["drop", "wait"], steps: list[tuple[Literal["scheduler", "request", "write"], int]]
) -> None:
    buffer = buffer_of(size, on_full)
    made: dict[StreamName, int] = {"scheduler": 0, "request": 0}
    written: list[RuntimeEvent] = []
    for what, count in steps:
        if what == "write":
            batch = buffer.take(count)
            written += batch
            buffer.written(len(batch))
            continue
        for _ in range(count):
            made[what] += 1
            buffer.put(event(made[what], what))
            if on_full == "drop":
                assert len(buffer) <= size + 1  # at most one gap record beyond the bound
    written += write_all(buffer)
    assert len(buffer) == 0
    for stream, total in made.items():
        reported: list[int] = []
        last = 0
        for e in (e for e in written if e.stream == stream):
            assert e.sequence > last
            last = e.sequence
            if e.diagnostics is None:
                reported.append(e.sequence)
            else:
                reported += range(e.diagnostics["first_sequence"], e.diagnostics["last_sequence"] + 1)
        assert reported == list(range(1, total + 1))
    gaps = sum(e.diagnostics["dropped"] for e in written if e.diagnostics is not None)
    assert gaps == buffer.dropped
    assert on_full == "drop" or gaps == 0
