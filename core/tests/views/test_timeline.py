"""Two streams, one timeline per task, and where the time went."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock import CorrelatedRuntimeView, EventStream, RuntimeCorrelation, RuntimeEvent, event_to_json
from penstock.views.task_timeline import LAYERS, TIMESTAMPS

MODEL = "acme/small/chat"


class Story:
    """Tells a run's events, second by second; every test is such a story."""

    def __init__(self, *, keep: int | None = None) -> None:
        self.view = CorrelatedRuntimeView(keep=keep)
        self.events: list[RuntimeEvent] = []
        self.streams = {"scheduler": EventStream("scheduler"), "request": EventStream("request")}
        for stream in self.streams.values():
            stream.subscribe(self.events.append)
            stream.subscribe(self.view.receive)

    def scheduler(self, now: float, kind: str, task_id: str | None = None, **fields: Any) -> None:
        if kind in ("worker_spawned", "task_completed", "task_lease_released") and task_id is not None:
            fields.setdefault("task_execution_id", f"x-{task_id}")
        self._tell("scheduler", now, kind, task_id=task_id, **fields)

    def request(self, now: float, kind: str, task_id: str | None = None, *, call: int = 1, **fields: Any) -> None:
        who = None if task_id is None else RuntimeCorrelation("run", task_execution_id=f"x-{task_id}")
        ids = {"request_attempt_id": f"a-{task_id}-{call}"}
        if kind not in ("request_wait_started", "request_wait_completed", "request_acquire_denied"):
            ids["request_lease_id"] = f"l-{task_id}-{call}"
        self._tell("request", now, kind, correlation=who, resource=fields.pop("resource", MODEL), **ids, **fields)

    def _tell(self, stream: str, now: float, kind: str, **fields: Any) -> None:
        self.streams[stream].record(kind, now, **fields)
        self.streams[stream].deliver()

    # the usual chapters

    def enqueue(self, now: float, task_id: str) -> None:
        self.scheduler(now, "dependency_ready", task_id)
        self.scheduler(now, "ready_enqueued", task_id)

    def start(self, now: float, task_id: str) -> None:
        for kind in ("selected", "task_lease_acquired", "worker_spawned"):
            self.scheduler(now, kind, task_id)

    def end(self, now: float, task_id: str, reason: str = "success") -> None:
        self.scheduler(now, "task_completed", task_id, reason_or_outcome=reason)
        self.scheduler(now, "task_lease_released", task_id)

    def wait(self, now: float, task_id: str | None, call: int = 1) -> None:
        self.request(now, "request_wait_started", task_id, call=call)

    def go_out(self, now: float, task_id: str | None, call: int = 1) -> None:
        for kind in ("request_wait_completed", "request_lease_acquired", "model_request_started"):
            self.request(now, kind, task_id, call=call)

    def come_back(self, now: float, task_id: str | None, call: int = 1, outcome: str = "success") -> None:
        for kind in ("model_request_completed", "request_lease_released"):
            self.request(now, kind, task_id, call=call, reason_or_outcome=outcome)

    def call(
        self, task_id: str | None, at: tuple[float, float, float], call: int = 1, outcome: str = "success"
    ) -> None:
        """Wait, go out and come back, at these moments."""
        wait, out, back = at
        self.wait(wait, task_id, call)
        self.go_out(out, task_id, call)
        self.come_back(back, task_id, call, outcome)

    def task_seconds(self) -> dict[str, float]:
        return {layer: seconds for layer, seconds in self.view.where_time_went().items() if seconds}

    def run_seconds(self) -> dict[str, float]:
        return {layer: seconds for layer, seconds in self.view.what_limited().items() if seconds}


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_timeline_has_every_moment_of_its_task(story: Story) -> None:
    story.scheduler(1, "dependency_ready", "t")
    story.scheduler(2, "ready_enqueued", "t")
    story.scheduler(3, "selected", "t")
    story.scheduler(4, "task_lease_acquired", "t")
    story.scheduler(5, "worker_spawned", "t")
    story.request(6, "request_wait_started", "t")
    story.request(7, "request_wait_completed", "t")
    story.request(8, "request_lease_acquired", "t")
    story.request(9, "model_request_started", "t")
    story.request(10, "model_request_completed", "t")
    story.request(11, "request_lease_released", "t", reason_or_outcome="success")
    story.scheduler(12, "task_completed", "t", reason_or_outcome="success")
    story.scheduler(13, "task_lease_released", "t")
    timeline = story.view.timelines["t"]
    assert [getattr(timeline, field) for field in TIMESTAMPS.values()] == list(range(1, 14))
    assert (timeline.task_execution_id, timeline.outcome) == ("x-t", "success")
    assert (timeline.executions, timeline.calls) == (1, 1)


def test_a_task_of_several_calls_keeps_the_first_start_and_the_last_end(story: Story) -> None:
    story.start(0, "t")
    for call in (1, 2):
        story.wait(call * 10, "t", call)
        story.go_out(call * 10 + 1, "t", call)
        story.come_back(call * 10 + 5, "t", call)
    story.end(30, "t")
    timeline = story.view.timelines["t"]
    assert (timeline.request_wait_started_at, timeline.model_request_started_at) == (10, 11)
    assert (timeline.model_request_completed_at, timeline.request_lease_released_at) == (25, 25)
    assert timeline.calls == 2


# -- one layer after another --


def test_time_until_a_task_is_ready_goes_to_its_dependencies(story: Story) -> None:
    story.scheduler(10, "dependency_ready", "t", diagnostics={"added_at": 4.0})
    assert story.task_seconds() == {"dependencies": 6}


def test_a_row_group_is_admitted_and_its_tasks_wait_from_then_on(story: Story) -> None:
    who = RuntimeCorrelation("run", row_group="g1", task_column="summary")
    story.scheduler(1, "row_group_admitted", correlation=who)
    story.scheduler(3, "dependency_ready", "t", correlation=who)
    story.scheduler(9, "row_group_checkpointed", correlation=who)
    story.scheduler(9, "dependency_ready", "late", correlation=who)
    assert story.task_seconds() == {"dependencies": 2}
    timeline = story.view.timeline("t")
    assert timeline is not None
    assert (timeline.row_group, timeline.task_column) == ("g1", "summary")


def test_time_in_a_queue_from_which_others_are_chosen_goes_to_the_queues_order(story: Story) -> None:
    story.enqueue(0, "t")
    story.start(3, "t")
    assert story.task_seconds() == {"queue_order": 3}


@pytest.mark.parametrize("kind", ["admission_blocked", "group_capped"])
def test_time_in_a_queue_from_which_nothing_can_be_chosen_goes_to_task_capacity(kind: str, story: Story) -> None:
    story.enqueue(0, "t")
    story.scheduler(1, kind)
    story.start(5, "t")
    assert story.task_seconds() == {"queue_order": 1, "task_capacity": 4}


def test_a_gate_that_lets_one_in_and_stands_again_was_at_its_capacity_all_the_time(story: Story) -> None:
    story.enqueue(0, "t")
    story.scheduler(0, "admission_blocked")
    story.start(2, "other")
    story.start(4, "t")
    assert story.view.where_time_went()["task_capacity"] == 4
    story.scheduler(4, "queue_empty")
    story.enqueue(4, "late")
    story.start(5, "late")
    assert story.view.where_time_went()["queue_order"] == 1


def test_a_task_that_is_denied_after_selection_is_queued_again(story: Story) -> None:
    story.enqueue(0, "t")
    story.scheduler(1, "selected", "t")
    story.scheduler(1, "admission_denied", "t", reason_or_outcome="no_capacity")
    story.scheduler(1, "admission_blocked")
    story.start(4, "t")
    assert story.task_seconds() == {"queue_order": 1, "task_capacity": 3}


def test_time_queued_for_a_call_goes_to_the_request_wait_and_time_out_to_the_provider(story: Story) -> None:
    story.start(0, "t")
    story.call("t", (1, 4, 9))
    story.end(11, "t")
    assert story.task_seconds() == {"request_wait": 3, "provider": 5, "after": 3}


def test_time_queued_while_the_provider_asks_to_wait_goes_to_the_cooldown(story: Story) -> None:
    story.start(0, "t")
    story.request(0, "request_rate_limited", "other", diagnostics={"blocked_until": 3.0})
    story.wait(1, "t")
    story.go_out(10, "t")
    assert story.task_seconds() == {"after": 1, "cooldown": 2, "request_wait": 7}


def test_a_refusal_that_says_how_long_to_wait_begins_a_cooldown(story: Story) -> None:
    story.start(0, "t")
    story.go_out(0, "t", 1)
    refusal = {"reason_or_outcome": "rate_limited", "diagnostics": {"retry_after_seconds": 2.0}}
    story.request(1, "model_request_completed", "t", call=1, **refusal)
    story.request(1, "request_lease_released", "t", call=1, reason_or_outcome="rate_limited")
    story.wait(1, "t", 2)
    story.go_out(4, "t", 2)
    assert story.task_seconds() == {"provider": 1, "cooldown": 2, "request_wait": 1}


def test_calls_side_by_side_are_the_providers_time_once(story: Story) -> None:
    story.start(0, "t")
    story.wait(0, "t", 1)
    story.wait(0, "t", 2)
    story.go_out(2, "t", 1)
    story.go_out(4, "t", 2)
    story.come_back(5, "t", 1)
    story.come_back(9, "t", 2)
    assert story.task_seconds() == {"request_wait": 2, "provider": 7}


def test_the_pause_between_a_failed_call_and_the_next_is_a_cooldown(story: Story) -> None:
    story.start(0, "t")
    story.call("t", (0, 0, 1), 1, outcome="provider_failure")
    story.call("t", (4, 4, 5), 2)
    story.end(7, "t")
    assert story.task_seconds() == {"provider": 2, "cooldown": 3, "after": 2}


@pytest.mark.parametrize("end", ["request_wait_timeout", "request_wait_cancelled", "request_acquire_denied"])
def test_a_wait_that_ends_without_a_lease_is_over(end: str, story: Story) -> None:
    story.start(0, "t")
    story.wait(0, "t")
    story.request(2, end, "t")
    story.end(5, "t")
    assert story.task_seconds() == {"request_wait": 2, "after": 3}


# -- more than one execution --


@pytest.mark.parametrize("deferred_first", [True, False])
@pytest.mark.parametrize("keep", [0, None])
def test_a_retry_begins_a_new_timeline_and_its_back_off_is_a_cooldown(deferred_first: bool, keep: int | None) -> None:
    story = Story(keep=keep)
    story.start(0, "t")
    if deferred_first:
        story.scheduler(2, "retry_deferred", "t", reason_or_outcome="provider_failure")
        story.scheduler(2, "task_lease_released", "t")
    else:
        story.end(2, "t", reason="failed")
        story.scheduler(2, "retry_deferred", "t", reason_or_outcome="provider_failure")
    story.enqueue(7, "t")
    assert story.task_seconds() == {"after": 2, "cooldown": 5}
    timeline = story.view.timeline("t")
    assert timeline is not None
    assert (timeline.dependency_ready_at, timeline.worker_spawned_at, timeline.task_completed_at) == (7, None, None)
    story.start(7, "t")
    story.end(8, "t")
    assert story.task_seconds() == {"after": 3, "cooldown": 5}
    if keep is None:
        assert (story.view.timelines["t"].executions, story.view.timelines["t"].limited_by) == (2, "cooldown")


def test_a_new_execution_owes_nothing_to_the_last_call_of_the_one_before(story: Story) -> None:
    story.start(0, "t")
    story.go_out(0, "t", 1)
    story.come_back(1, "t", 1, outcome="provider_failure")
    story.scheduler(1, "retry_deferred", "t")
    story.start(2, "t")
    story.wait(5, "t", 2)
    assert story.task_seconds() == {"provider": 1, "cooldown": 1, "after": 3}


def test_a_call_whose_end_was_never_reported_ends_with_its_task(story: Story) -> None:
    story.start(0, "t")
    story.go_out(0, "t")
    story.end(2, "t")
    story.scheduler(5, "queue_empty")
    assert story.run_seconds() == {"provider": 2, "dependencies": 3}


def test_a_task_that_is_dropped_after_its_last_attempt_says_so(story: Story) -> None:
    story.start(0, "t")
    story.end(1, "t", reason="failed")
    story.scheduler(1, "non_retryable_dropped", "t", reason_or_outcome="attempts")
    assert story.view.timelines["t"].outcome == "attempts"


def test_a_task_that_is_cancelled_while_queued_is_finished_there(story: Story) -> None:
    story.enqueue(0, "t")
    story.scheduler(2, "cancelled", "t")
    assert story.view.timelines["t"].outcome == "cancelled"
    assert story.task_seconds() == {"queue_order": 2}


def test_a_task_that_is_cancelled_at_work_is_finished_when_its_lease_is_back(story: Story) -> None:
    story.start(0, "t")
    story.wait(1, "t")
    story.scheduler(3, "cancelled", "t")
    assert "t" not in story.view.timelines
    story.scheduler(4, "task_lease_released", "t")
    assert story.view.timelines["t"].task_lease_released_at == 4
    story.scheduler(9, "queue_empty")
    assert story.run_seconds() == {"after": 1, "request_wait": 3, "dependencies": 5}


# -- the run --


def test_the_run_is_limited_by_what_stood_still_longest(story: Story) -> None:
    story.scheduler(0, "scheduler_job_started")
    story.enqueue(1, "t")
    story.start(2, "t")
    story.call("t", (3, 7, 9))
    story.end(10, "t")
    assert story.run_seconds() == {"dependencies": 1, "queue_order": 1, "request_wait": 4, "provider": 2, "after": 2}
    assert story.view.limited_by == "request_wait"


def test_a_run_in_which_nothing_happened_is_limited_by_nothing() -> None:
    view = CorrelatedRuntimeView()
    assert view.limited_by is None
    assert set(view.where_time_went()) == set(view.what_limited()) == set(LAYERS)


def test_the_request_stream_alone_tells_what_limited_it(story: Story) -> None:
    story.wait(0, None)
    story.request(0, "request_rate_limited", diagnostics={"blocked_until": 4.0})
    story.go_out(6, None)
    story.come_back(9, None)
    assert story.run_seconds() == {"cooldown": 4, "request_wait": 2, "provider": 3}


def test_the_totals_need_no_timeline_to_be_kept() -> None:
    story = Story(keep=1)
    for n in range(5):
        story.start(n, f"t{n}")
        story.end(n + 1, f"t{n}")
    assert list(story.view.timelines) == ["t4"]
    assert story.task_seconds() == {"after": 5}


def test_missing_events_are_reported(story: Story) -> None:
    story.scheduler(0, "events_dropped", diagnostics={"dropped": 3, "first_sequence": 1, "last_sequence": 3})
    story.request(0, "events_dropped", diagnostics={"dropped": 4, "first_sequence": 1, "last_sequence": 4})
    assert story.view.missing == 7


def test_streams_that_were_recorded_apart_are_joined_by_time(story: Story) -> None:
    story.start(0, "t")
    story.call("t", (1, 4, 9))
    story.end(11, "t")
    lines = [event_to_json(event) for event in story.events]
    parsed = [json.loads(line) for line in lines]
    apart = [[e for e in parsed if e["stream"] == stream] for stream in ("scheduler", "request")]
    for view in (CorrelatedRuntimeView.from_events(parsed), CorrelatedRuntimeView.from_events(*apart)):
        assert view.timelines == story.view.timelines
        assert view.where_time_went() == story.view.where_time_went()


def test_a_clock_that_was_read_earlier_for_the_other_stream_makes_no_negative_time(story: Story) -> None:
    story.start(5, "t")
    story.wait(4.999, "t")
    story.go_out(6, "t")
    assert story.task_seconds() == {"request_wait": 1}
