"""The two event streams: numbering, order, what is built and what is not, and the way to JSON and back."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings, strategies as st

from penstock import EventStream, RuntimeCorrelation, RuntimeEvent, event_from_dict, event_to_dict, event_to_json
from penstock.events.correlation import reset_correlation, set_correlation
from penstock.events.records import REQUEST_EVENT_KINDS, SCHEDULER_EVENT_KINDS


def listening() -> tuple[EventStream, list[RuntimeEvent]]:
    stream, seen = EventStream("scheduler"), list[RuntimeEvent]()
    stream.subscribe(seen.append)
    return stream, seen


def test_a_stream_without_a_receiver_builds_nothing() -> None:
    stream = EventStream("scheduler")
    assert not stream.active
    stream.record("selected", 1.0)
    seen: list[RuntimeEvent] = []
    stream.subscribe(seen.append)
    stream.deliver()
    assert seen == []


def test_a_stream_is_inactive_again_when_the_last_receiver_has_left() -> None:
    stream, seen = listening()
    assert stream.active
    stream.unsubscribe(seen.append)
    assert not stream.active


def test_nothing_is_delivered_before_the_change_is_complete() -> None:
    stream, seen = listening()
    stream.record("selected", 1.0)
    assert seen == []
    stream.deliver()
    assert [event.event_kind for event in seen] == ["selected"]


def test_sequences_increase_strictly_in_the_order_of_recording() -> None:
    stream, seen = listening()
    for kind in ("ready_enqueued", "selected", "task_lease_acquired"):
        stream.record(kind, 1.0)
    stream.deliver()
    stream.record("worker_spawned", 1.0)
    stream.deliver()
    assert [(event.sequence, event.event_kind) for event in seen] == [
        (1, "ready_enqueued"),
        (2, "selected"),
        (3, "task_lease_acquired"),
        (4, "worker_spawned"),
    ]


def test_a_receiver_that_records_does_so_behind_what_is_being_delivered() -> None:
    stream = EventStream("scheduler")
    seen: list[str] = []

    def echo(event: RuntimeEvent) -> None:
        seen.append(event.event_kind)
        if event.event_kind == "selected":
            stream.record("queue_empty", 2.0)
            stream.deliver()

    stream.subscribe(echo)
    stream.record("selected", 1.0)
    stream.record("worker_spawned", 1.0)
    stream.deliver()
    assert seen == ["selected", "worker_spawned", "queue_empty"]


@pytest.mark.parametrize("kind", ["request_wait_started", "Selected", ""])
def test_a_kind_of_another_stream_or_of_none_is_refused(kind: str) -> None:
    stream, _ = listening()
    with pytest.raises(ValueError, match="the scheduler stream has no event kind"):
        stream.record(kind, 1.0)


def test_the_correlation_is_taken_when_the_event_is_built() -> None:
    stream, seen = listening()
    token = set_correlation(RuntimeCorrelation("run", task_execution_id="x-1"))
    stream.record("selected", 1.0)
    reset_correlation(token)
    stream.deliver()
    assert seen[0].correlation == RuntimeCorrelation("run", task_execution_id="x-1")


def test_a_correlation_that_is_passed_wins_over_the_current_one() -> None:
    stream, seen = listening()
    token = set_correlation(RuntimeCorrelation("mine"))
    stream.record("selected", 1.0, correlation=RuntimeCorrelation("theirs"))
    reset_correlation(token)
    stream.deliver()
    assert seen[0].correlation == RuntimeCorrelation("theirs")


def test_both_streams_can_tell_of_a_hole() -> None:
    assert {"events_dropped", "plugin_error"} == SCHEDULER_EVENT_KINDS & REQUEST_EVENT_KINDS


def test_fields_without_a_value_are_left_out_of_the_plain_data() -> None:
    event = RuntimeEvent(stream="request", event_kind="model_request_started", captured_at_monotonic=1.5, sequence=7)
    assert event_to_dict(event) == {
        "stream": "request",
        "sequence": 7,
        "event_kind": "model_request_started",
        "captured_at_monotonic": 1.5,
    }


words = st.none() | st.text(max_size=8)
events = st.builds(
    RuntimeEvent,
    stream=st.sampled_from(["scheduler", "request"]),
    event_kind=st.sampled_from(sorted(SCHEDULER_EVENT_KINDS | REQUEST_EVENT_KINDS)),
    captured_at_monotonic=st.floats(allow_nan=False, allow_infinity=False),
    sequence=st.integers(1, 10**9),
    correlation=st.none() | st.builds(RuntimeCorrelation, run_id=st.text(max_size=8), row_group=words),
    task_id=words,
    resource=words,
    reason_or_outcome=words,
    diagnostics=st.none() | st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4)),
)


@settings(max_examples=50)
@given(events)
def test_an_event_is_one_line_of_json_and_reads_back_as_it_was(event: RuntimeEvent) -> None:
    line = event_to_json(event)
    assert "\n" not in line
    assert event_from_dict(json.loads(line)) == event


def test_what_is_no_json_is_refused() -> None:
    event = RuntimeEvent(
        stream="request",
        event_kind="model_request_started",
        captured_at_monotonic=1.0,
        sequence=1,
        diagnostics={"ratio": float("nan")},
    )
    with pytest.raises(ValueError, match="JSON"):
        event_to_json(event)


def test_a_reader_passes_over_what_a_later_version_wrote() -> None:
    line = {"stream": "request", "sequence": 1, "event_kind": "x", "captured_at_monotonic": 0, "colour": "red"}
    assert event_from_dict(line).event_kind == "x"


def test_data_that_is_no_event_is_named_as_such() -> None:
    with pytest.raises(ValueError, match="no runtime event: it has no 'sequence'"):
        event_from_dict({"stream": "request", "event_kind": "x", "captured_at_monotonic": 0})


def test_events_that_nobody_wants_are_not_built() -> None:
    stream, all_kinds, some = EventStream("scheduler"), list[RuntimeEvent](), list[RuntimeEvent]()
    stream.subscribe(some.append, frozenset({"selected", "request_wait_started"}))
    stream.record("queue_empty", 0.0)
    stream.record("selected", 0.0)
    stream.deliver()
    assert [(event.event_kind, event.sequence) for event in some] == [("selected", 1)]
    stream.subscribe(all_kinds.append)
    stream.record("queue_empty", 0.0)
    stream.deliver()
    assert [event.event_kind for event in all_kinds] == ["queue_empty"]
    assert len(some) == 1
    with pytest.raises(ValueError, match="no event kind"):
        stream.record("request_wait_started", 0.0)
    stream.unsubscribe(all_kinds.append)
    stream.record("queue_empty", 0.0)
    stream.deliver()
    assert len(all_kinds) == 1


def test_what_was_recorded_for_one_who_has_left_goes_to_nobody_who_did_not_want_it() -> None:
    stream, all_kinds, some = EventStream("scheduler"), list[RuntimeEvent](), list[RuntimeEvent]()
    stream.subscribe(some.append, frozenset({"selected"}))
    stream.subscribe(all_kinds.append)
    for kind in ("queue_empty", "selected"):
        stream.record(kind, 0.0)
    stream.unsubscribe(all_kinds.append)
    stream.deliver()
    assert [(event.event_kind, event.sequence) for event in some] == [("selected", 2)]
    assert all_kinds == []


def test_a_stream_of_which_nothing_is_wanted_is_inactive() -> None:
    stream = EventStream("request")
    stream.subscribe(list[RuntimeEvent]().append, frozenset({"selected"}))
    assert not stream.active


def test_who_is_given_several_at_once_is_given_them_in_order_and_by_kind() -> None:
    stream, all_kinds, some = EventStream("scheduler"), list[list[str]](), list[list[str]]()

    def take(events: Sequence[RuntimeEvent]) -> None:
        all_kinds.append([each.event_kind for each in events])
        if len(all_kinds) == 1:
            stream.record("queue_drained", 2.0)
            stream.deliver()

    stream.subscribe_to_all(take)
    stream.subscribe_to_all(lambda events: some.append([e.event_kind for e in events]), frozenset({"queue_empty"}))
    for kind in ("selected", "queue_empty", "worker_spawned"):
        stream.record(kind, 1.0)
    stream.deliver()
    assert all_kinds == [["selected", "queue_empty", "worker_spawned"], ["queue_drained"]]
    assert some == [["queue_empty"]]
    stream.unsubscribe(take)
    stream.record("selected", 3.0)
    stream.deliver()
    assert len(all_kinds) == 2
