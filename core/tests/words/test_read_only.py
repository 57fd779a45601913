"""Records that plugins are given: whoever writes one gets an error of his own, and everybody else sees it as it was."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any, cast

import attrs
import msgspec
import pytest

from penstock import (
    Denied,
    EventStream,
    FifoTaskQueue,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestEventContext,
    RequestReleaseOutcome,
    RequestResourceKey,
    RunReport,
    RuntimeCorrelation,
    RuntimeEvent,
    Signal,
    TaskAdmissionController,
    TaskAdmissionLease,
    TaskGate,
)
from penstock.testing import make_task
from penstock.words.read_only import ReadOnlyError, fixed
from penstock_model.list_queue import ListQueue


def _lease() -> TaskAdmissionLease:
    gate = TaskGate(FifoTaskQueue(), TaskAdmissionController())
    gate.offer([make_task("a", "g")], 0.0)
    lease = gate.next(0.0)
    assert lease is not None
    return lease


def _event() -> RuntimeEvent:
    correlation = RuntimeCorrelation("run", "rows")
    return RuntimeEvent(
        stream="scheduler", event_kind="selected", captured_at_monotonic=1.0, sequence=1, correlation=correlation
    )


RESOURCE = RequestResourceKey("acme", "small", "chat")

RECORDS: dict[str, Callable[[], Any]] = {
    "task": lambda: make_task("a", "g"),
    "lease": _lease,
    "refusal": lambda: Denied("policy_denial", {Signal("s")}, detail="mine", cohort=("a", 1)),
    "event": _event,
    "correlation": lambda: RuntimeCorrelation("run", "rows").of_task("a", "g", {"tenant": "acme"}),
    "call": lambda: RequestAdmissionItem(RESOURCE),
    "request lease": lambda: RequestAdmissionLease("l-1", RequestAdmissionItem(RESOURCE), 0.0, 1, 4, 8),
    "outcome": lambda: RequestReleaseOutcome(kind="success", status=200),
    "event context": lambda: RequestEventContext(None, "task-1", "attempt-1"),
}


def _fields(record: Any) -> tuple[str, ...]:
    if isinstance(record, msgspec.Struct):
        return record.__struct_fields__
    return tuple(field.name for field in attrs.fields(type(record)))


def _replaced(record: Any) -> Any:
    return msgspec.structs.replace(record) if isinstance(record, msgspec.Struct) else attrs.evolve(record)


@pytest.mark.parametrize("make", RECORDS.values(), ids=RECORDS)
def test_no_field_of_a_record_can_be_written(make: Callable[[], Any]) -> None:
    record = make()
    before = {name: getattr(record, name) for name in _fields(record)}
    for name in (*before, "anything"):
        with pytest.raises(ReadOnlyError, match=rf"{type(record).__name__}\.{name} can be read, not written"):
            setattr(record, name, None)
        with pytest.raises(ReadOnlyError):
            delattr(record, name)
    assert {name: getattr(record, name) for name in before} == before


@pytest.mark.parametrize("make", RECORDS.values(), ids=RECORDS)
def test_a_record_is_copied_as_what_it_is(make: Callable[[], Any]) -> None:
    record = make()
    for other in (copy.copy(record), _replaced(record)):
        assert type(other) is type(record)
        assert repr(other) == repr(record)


def test_what_a_correlation_has_beside_its_names_is_in_no_event_and_cannot_be_written() -> None:
    of_task = RuntimeCorrelation("run", "rows").of_task("a", "g", {"tenant": "acme"})
    assert (of_task.task_id, of_task.task_group, of_task.labels) == ("a", "g", {"tenant": "acme"})
    plain = RuntimeCorrelation("run", "rows")
    assert (plain.task_id, plain.task_group, plain.labels) == (None, None, None)
    assert of_task == plain
    assert hash(of_task) == hash(plain)
    assert repr(of_task) == repr(plain)
    for name in ("task_id", "task_group", "labels"):
        with pytest.raises(ReadOnlyError, match=rf"RuntimeCorrelation\.{name} can be read, not written"):
            setattr(of_task, name, None)
    assert of_task.task_id == "a"


@pytest.mark.parametrize("kind", [FifoTaskQueue, ListQueue])
def test_no_window_can_be_written(kind: Callable[[], Any]) -> None:
    gate = TaskGate(kind(), TaskAdmissionController())
    gate.offer([make_task("a", "g")], 0.0)
    ledger = gate.controller.view()
    windows = (*((ledger, name) for name in vars(ledger)), *((gate.view, name) for name in vars(gate.view)))
    assert len(windows) > 8
    for view, name in windows:
        with pytest.raises(ReadOnlyError):
            setattr(view, name, {})
    with pytest.raises(TypeError):
        ledger.resources_available["submission"] = 0  # type: ignore[index]
    assert gate.next(0.0) is not None


def test_what_a_record_holds_is_fixed_all_the_way_down() -> None:
    stream, seen = EventStream("scheduler"), list[RuntimeEvent]()
    stream.subscribe(seen.append)
    stream.record(
        "queue_empty",
        0.0,
        diagnostics={"why": {"rows": [1]}},
        labels={"tenant": "acme"},
        correlation=_event().correlation,
    )
    stream.deliver()
    (event,) = seen
    diagnostics, labels = cast("dict[str, Any]", event.diagnostics), cast("dict[str, str]", event.labels)
    writes: list[Callable[[], object]] = [
        lambda: diagnostics.pop("why"),
        lambda: diagnostics["why"].update(rows=[]),
        lambda: diagnostics["why"]["rows"].append(2),
        lambda: labels.clear(),
    ]
    for write in writes:
        with pytest.raises(ReadOnlyError):
            write()
    assert event.diagnostics == {"why": {"rows": [1]}}
    assert json.loads(json.dumps(event.diagnostics)) == event.diagnostics


def test_what_is_fixed_is_copied_as_what_can_be_changed() -> None:
    kept = fixed({"a": [{"b": 1}]})
    for other in (copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        other["a"].append(2)
        assert other == {"a": [{"b": 1}, 2]}
    assert kept == {"a": [{"b": 1}]}
    assert repr(kept) == "{'a': [{'b': 1}]}"


def test_one_plugin_cannot_take_from_the_report_what_another_is_to_read() -> None:
    report = RunReport(run_id="r", started_at=0.0, finished_at=1.0, not_done={"a": "failed"}, diagnostics={"names": []})
    writes: list[Callable[[], object]] = [
        lambda: cast("dict[str, str]", report.not_done).clear(),
        lambda: report.diagnostics["names"].append("x"),
    ]
    for write in writes:
        with pytest.raises(ReadOnlyError, match=r"(dict|list)\.contents"):
            write()
