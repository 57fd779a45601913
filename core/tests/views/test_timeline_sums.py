"""Whatever events come, in whatever order, time is divided without rest, and none is made up."""

from __future__ import annotations

from hypothesis import given, settings, strategies as st

from penstock import CorrelatedRuntimeView, RuntimeCorrelation, RuntimeEvent

SCHEDULER_KINDS = [
    "dependency_ready", "ready_enqueued", "selected", "admission_denied", "task_lease_acquired", "worker_spawned",
    "retry_deferred", "task_completed", "task_lease_released", "cancelled", "stale_selection", "admission_blocked",
    "queue_empty",
]  # fmt: skip
REQUEST_KINDS = [
    "request_wait_started", "request_wait_completed", "request_lease_acquired", "request_lease_released",
    "request_rate_limited",
]  # fmt: skip
happenings = st.lists(
    st.tuples(
        st.sampled_from(SCHEDULER_KINDS + REQUEST_KINDS), st.sampled_from("ab"), st.integers(0, 3), st.integers(1, 2)
    ),
    max_size=60,
)


def scheduler(now: float, kind: str, task_id: str) -> RuntimeEvent:
    return RuntimeEvent(
        stream="scheduler",
        event_kind=kind,
        captured_at_monotonic=now,
        sequence=1,
        task_id=task_id,
        task_execution_id=f"x-{task_id}",
    )


def request(now: float, kind: str, task_id: str, call: int) -> RuntimeEvent:
    return RuntimeEvent(
        stream="request",
        event_kind=kind,
        captured_at_monotonic=now,
        sequence=1,
        correlation=RuntimeCorrelation("run", task_execution_id=f"x-{task_id}"),
        request_attempt_id=f"a-{task_id}-{call}",
        request_lease_id=f"l-{task_id}-{call}",
        resource="acme/small/chat",
        diagnostics={"blocked_until": now + 2} if kind == "request_rate_limited" else None,
    )


@settings(max_examples=150, deadline=None)
@given(happenings)
def test_time_is_divided_without_rest_whatever_is_reported(happenings: list[tuple[str, str, int, int]]) -> None:
    view, now, lived = CorrelatedRuntimeView(), 0, 0
    alive: dict[str, int] = {}
    moments = []
    for kind, task_id, pause, call in happenings:
        now += pause
        moments.append(now)
        view.receive(request(now, kind, task_id, call) if kind in REQUEST_KINDS else scheduler(now, kind, task_id))
        for task in "ab":
            is_alive = view.timeline(task) is not None and task not in view.timelines
            if is_alive and task not in alive:
                alive[task] = now
            elif not is_alive and task in alive:
                lived += now - alive.pop(task)
    for task, since in alive.items():  # one more event for each, so that its time counts up to here
        view.receive(scheduler(now, "ready_enqueued", task))
        lived += now - since
    assert sum(view.where_time_went().values()) == lived
    assert sum(view.what_limited().values()) == (now - moments[0] if moments else 0)
    assert all(seconds >= 0 for seconds in [*view.where_time_went().values(), *view.what_limited().values()])
