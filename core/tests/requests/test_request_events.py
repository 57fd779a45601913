"""The events of the request gate, in their order, and what they cost when nobody listens."""

from __future__ import annotations

import json

from penstock import (
    LimiterChange,
    RequestAdmissionItem,
    RequestEventContext,
    RequestGroupSpec,
    RequestReleaseOutcome,
    RequestResourceKey,
    RuntimeCorrelation,
    Usage,
    event_to_json,
)
from penstock.events.correlation import reset_correlation, set_correlation
from penstock.requests.outcomes import SUCCESS
from penstock.testing import RequestBench
from penstock.testing.request_bench import CHAT


def test_an_immediate_grant_records_a_wait_that_began_and_ended_at_the_same_instant(bench: RequestBench) -> None:
    for give in (bench.controller.try_acquire, bench.controller.enqueue):
        give(bench.item(), 4.0)
        bench.events.deliver()
        assert {event.captured_at_monotonic for event in bench.delivered} == {4.0}
        assert bench.kinds() == ["request_wait_started", "request_wait_completed", "request_lease_acquired"]


def test_a_wait_is_recorded_when_it_begins_and_when_it_ends(bench: RequestBench) -> None:
    leases = [bench.lease(), bench.lease()]
    bench.kinds()
    bench.wait(now=1.0)
    assert bench.kinds() == ["request_wait_started", "request_queue_formed"]
    bench.wait(now=2.0)
    assert bench.kinds() == ["request_wait_started"]
    bench.release(leases[0], 3.0)
    assert bench.kinds() == ["request_lease_released", "request_wait_completed", "request_lease_acquired"]
    bench.release(leases[1], 4.0)
    assert bench.kinds() == [
        "request_lease_released", "request_wait_completed", "request_lease_acquired", "request_queue_drained",
    ]  # fmt: skip


def test_each_end_of_a_wait_has_its_own_event(bench: RequestBench) -> None:
    bench.lease(requests=2)
    bench.kinds()
    bench.wait(timeout=1.0)
    cancelled = bench.wait()
    bench.wait()
    bench.kinds()
    bench.controller.advance(1.0)
    assert bench.kinds() == ["request_wait_timeout", "request_acquire_denied"]
    bench.controller.cancel(cancelled, 2.0)
    assert bench.kinds() == ["request_wait_cancelled"]
    bench.controller.close(3.0)
    bench.events.deliver()
    assert [event.reason_or_outcome for event in bench.delivered] == ["shutdown", None, "shutdown"]
    assert bench.kinds() == ["request_wait_cancelled", "request_queue_drained", "request_acquire_denied"]


def test_a_call_that_is_refused_at_once_does_not_wait(bench: RequestBench) -> None:
    bench.lease(requests=2)
    bench.kinds()
    bench.controller.try_acquire(bench.item(), 0.0)
    bench.controller.enqueue(bench.item(timeout=0.0), 0.0)
    bench.controller.enqueue(bench.item(requests=5), 0.0)
    bench.events.deliver()
    assert [event.reason_or_outcome for event in bench.delivered] == ["no_capacity", "no_capacity", "never_fits"]
    assert bench.kinds() == ["request_acquire_denied"] * 3


def test_a_leases_events_say_what_it_was_admitted_under_and_what_it_leaves_behind(bench: RequestBench) -> None:
    bench.limiters[CHAT].places = 2
    lease = bench.lease()
    outcome = RequestReleaseOutcome(kind="success", usage=Usage(3, 5))
    bench.controller.release(lease, outcome, 2.5)
    bench.events.deliver()
    acquired, released = bench.delivered[-2:]
    assert acquired.request_lease_id == released.request_lease_id == lease.lease_id
    assert acquired.diagnostics == {
        "limit_at_admission": 2, "effective_max": 2, "in_flight": 1, "provider_model_in_flight": 1,
    }  # fmt: skip
    assert released.diagnostics == {"held": 2.5, "in_flight": 0, "input_tokens": 3, "output_tokens": 5}
    assert released.reason_or_outcome == "success"


def test_changes_of_limiters_are_recorded_with_the_release_that_caused_them(bench: RequestBench) -> None:
    bench.limiters[CHAT].answers.append([LimiterChange("request_limit_decreased", 8, 6, "a burst")])
    lease = bench.lease()
    bench.kinds()
    bench.controller.release(lease, RequestReleaseOutcome(kind="rate_limited"), 1.0)
    bench.events.deliver()
    assert bench.delivered[-1].diagnostics == {"before": 8, "after": 6, "detail": "a burst"}
    assert bench.delivered[-1].resource == "p/m/chat"
    assert bench.kinds() == ["request_lease_released", "request_limit_decreased"]


def test_a_release_that_counts_for_nothing_is_a_diagnostic(bench: RequestBench) -> None:
    lease = bench.lease()
    bench.release(lease)
    bench.kinds()
    bench.controller.release(lease, SUCCESS, 1.0)
    bench.events.deliver()
    assert bench.delivered[-1].reason_or_outcome == "duplicate"
    assert bench.kinds() == ["request_release_diagnostic"]


def test_a_registration_is_recorded_per_resource_and_a_changed_cap_per_model() -> None:
    bench = RequestBench({})
    bench.controller.register("p", "m", {"a": 4, "b": 3}, 0.0, domains=["chat"])
    bench.events.deliver()
    assert bench.delivered[0].diagnostics == {"effective_max": 3, "provider_model_cap": 3, "aliases": ["a", "b"]}
    assert bench.kinds() == ["request_resource_registered"]
    bench.controller.register("p", "m", 5, 1.0)
    bench.events.deliver()
    assert bench.delivered[0].diagnostics == {"before": 3, "after": 5, "in_flight": 0}
    assert bench.kinds() == ["request_effective_cap_changed"]
    bench.controller.register("p", "m", 5, 2.0)
    assert bench.kinds() == []
    bench.lease(RequestResourceKey("p", "m", "image"))
    assert bench.kinds()[0] == "request_resource_registered"


def test_every_event_carries_whom_it_concerns_and_is_json(bench: RequestBench) -> None:
    context = RequestEventContext(RuntimeCorrelation("run-1", task_execution_id="t-7"), None, "attempt-3")
    item = RequestAdmissionItem(CHAT, RequestGroupSpec(("tenant", 4)), event_context=context)
    waiter = bench.controller.enqueue(item, 1.0)
    assert waiter.lease is not None
    bench.release(waiter.lease)
    bench.events.deliver()
    assert len(bench.delivered) == 4
    for event in bench.delivered:
        assert (event.resource, event.request_attempt_id, event.task_execution_id) == ("p/m/chat", "attempt-3", "t-7")
        assert event.correlation is context.correlation
        assert json.loads(event_to_json(event))["event_kind"] == event.event_kind


def test_a_waiters_events_carry_its_own_correlation_whoever_frees_the_place(bench: RequestBench) -> None:
    lease = bench.lease(requests=2)
    token = set_correlation(RuntimeCorrelation("run", task_execution_id="waiting"))
    bench.wait()
    reset_correlation(token)
    bench.kinds()
    token = set_correlation(RuntimeCorrelation("run", task_execution_id="releasing"))
    bench.release(lease)
    reset_correlation(token)
    bench.events.deliver()
    executions = {event.event_kind: event.task_execution_id for event in bench.delivered}
    assert executions["request_wait_completed"] == executions["request_lease_acquired"] == "waiting"


def test_nothing_is_recorded_while_nobody_listens() -> None:
    bench = RequestBench({CHAT: 2}, listen=False)
    leases = [bench.lease(), bench.lease()]
    bench.wait(timeout=1.0)
    bench.wait()
    bench.release(leases[0])
    bench.controller.advance(5.0)
    bench.controller.close(6.0)
    bench.events.subscribe(bench.delivered.append)
    assert bench.kinds() == []
    bench.controller.release(leases[1], SUCCESS, 7.0)
    bench.events.deliver()
    assert bench.delivered[0].sequence == 1, "the first record that was ever built"
