"""The limits of a group of calls, over all models: its `admitted_limit`, and the limiters that plugins make for it."""

from __future__ import annotations

from typing import Any

import pytest

from penstock import (
    ConfigError,
    PluginError,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestCost,
    RequestGroupKey,
    RequestGroupSpec,
    RequestResourceKey,
    Scope,
)
from penstock.requests.groups import REMEMBERED
from penstock.requests.outcomes import SUCCESS
from penstock.testing import RequestBench

HERE = RequestResourceKey("acme", "small", "chat")
THERE = RequestResourceKey("other", "large", "chat")
TENANT = RequestGroupKey("tenant")


@pytest.fixture
def bench() -> RequestBench:
    return RequestBench({HERE: 10, THERE: 10})


def item(resource: RequestResourceKey, limit: int | None = None, *, requests: int = 1, **options: Any) -> Any:
    spec = RequestGroupSpec(options.pop("group", "tenant"), admitted_limit=limit)
    return RequestAdmissionItem(resource, spec, RequestCost(requests), **options)


def lease(bench: RequestBench, resource: RequestResourceKey, limit: int | None = None) -> RequestAdmissionLease:
    answer = bench.controller.try_acquire(item(resource, limit), 0.0)
    assert isinstance(answer, RequestAdmissionLease), answer
    return answer


# -- admitted_limit --


def test_the_limit_of_a_group_holds_over_all_models(bench: RequestBench) -> None:
    first = lease(bench, HERE, 1)
    refused = bench.refused(bench.controller.try_acquire(item(THERE, 1), 0.0))
    assert refused.reason == "no_capacity"
    assert "1 places of group tenant" in refused.detail
    bench.lease(THERE, group="somebody else")
    waiter = bench.controller.enqueue(item(THERE, 1), 0.0)
    assert bench.release(first) == [waiter]


def test_calls_without_the_limit_count_for_their_group(bench: RequestBench) -> None:
    lease(bench, HERE)
    assert bench.refused(bench.controller.try_acquire(item(THERE, 1), 0.0)).reason == "no_capacity"


def test_a_call_that_is_larger_than_the_limit_of_its_group_never_fits(bench: RequestBench) -> None:
    refused = bench.refused(bench.controller.try_acquire(item(HERE, 2, requests=3), 0.0))
    assert refused.reason == "never_fits"


def test_the_limit_is_that_of_the_call_that_asks(bench: RequestBench) -> None:
    lease(bench, HERE, 1)
    assert isinstance(bench.controller.try_acquire(item(HERE, 2), 0.0), RequestAdmissionLease)


def test_who_waits_for_its_group_stands_in_nobodys_way(bench: RequestBench) -> None:
    lease(bench, HERE, 1)
    bench.controller.enqueue(item(HERE, 1), 0.0)
    bench.lease(HERE, group="somebody else")


def test_a_newcomer_of_the_group_at_another_model_overtakes_nobody(bench: RequestBench) -> None:
    out = lease(bench, HERE, 1)
    first = bench.controller.enqueue(item(HERE, 1), 0.0)
    second = bench.controller.enqueue(item(THERE, 1), 0.0)
    assert bench.release(out) == [first]
    assert first.lease is not None
    assert bench.release(first.lease) == [second]


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "2", 1_000_001])
def test_a_limit_is_a_whole_number(limit: Any) -> None:
    with pytest.raises(ConfigError, match=r"^group tenant: admitted_limit "):
        RequestGroupSpec("tenant", admitted_limit=limit)


# -- limiters --


def test_a_limiter_of_a_group_is_asked_for_its_calls_everywhere_and_for_no_others(bench: RequestBench) -> None:
    out = lease(bench, HERE)
    bench.limiters[TENANT].places = 1
    assert bench.refused(bench.controller.try_acquire(item(THERE), 0.0)).reason == "no_capacity"
    bench.lease(THERE, group="somebody else")
    waiter = bench.controller.enqueue(item(THERE), 0.0)
    assert bench.release(out) == [waiter]
    assert bench.limiters[TENANT].outcomes == [SUCCESS]


def test_what_a_limiter_of_a_group_puts_off_goes_when_the_time_has_come(bench: RequestBench) -> None:
    bench.controller.release(lease(bench, HERE), SUCCESS, 0.0)
    bench.limiters[TENANT].blocked_until = 7.0
    waiter = bench.controller.enqueue(item(THERE), 0.0)
    assert bench.controller.next_change(0.0) == 7.0
    assert bench.controller.advance(7.0).granted == [waiter]


def test_a_newcomer_at_another_model_is_behind_who_may_go_since_this_moment(bench: RequestBench) -> None:
    bench.controller.release(lease(bench, HERE), SUCCESS, 0.0)
    bench.limiters[TENANT].blocked_until, bench.limiters[TENANT].places = 7.0, 1
    first = bench.controller.enqueue(item(HERE), 0.0)
    second = bench.controller.enqueue(item(THERE), 7.0)
    assert second.lease is None
    assert bench.controller.advance(7.0).granted == [first]


def test_a_call_for_nobody_in_particular_has_no_limiter_of_a_group(bench: RequestBench) -> None:
    bench.lease(HERE)
    assert not [scope for scope in bench.limiters if isinstance(scope, RequestGroupKey)]


def test_a_limiter_of_a_group_that_cannot_be_made_is_told_to_that_call_alone() -> None:
    def make(scope: Scope, cap: int | None) -> list[Any]:
        if scope == TENANT:
            raise ZeroDivisionError
        return []

    bench = RequestBench({HERE: 1})
    bench.controller.reconfigure(make, 0.0)
    with pytest.raises(PluginError, match="making the limiter of group tenant raised ZeroDivisionError"):
        bench.controller.try_acquire(item(HERE), 0.0)
    bench.lease(HERE, group="somebody else")


def test_new_limiters_are_made_for_the_groups_that_are_known(bench: RequestBench) -> None:
    out = lease(bench, HERE)
    before = bench.limiters[TENANT]
    bench.controller.reconfigure(bench.make_limiters, 0.0)
    bench.limiters[TENANT].places = 0
    assert bench.refused(bench.controller.try_acquire(item(HERE), 0.0)).reason == "no_capacity"
    bench.release(out)
    assert before.outcomes == [SUCCESS]


def test_groups_that_had_no_call_for_long_are_forgotten(bench: RequestBench) -> None:
    kept = lease(bench, HERE)
    limiter = bench.limiters[TENANT]
    for number in range(4 * REMEMBERED):
        bench.controller.release(bench.lease(HERE, group=f"tenant {number}"), SUCCESS, 0.0)
    bench.limiters.clear()
    bench.lease(HERE, group="tenant 1")
    assert RequestGroupKey("tenant 1") in bench.limiters
    bench.release(kept)
    assert limiter.outcomes == [SUCCESS]


def test_a_refusal_for_want_of_a_groups_room_says_so_also_when_the_wait_is_over(bench: RequestBench) -> None:
    out = lease(bench, HERE, 1)
    own = bench.controller.enqueue(item(HERE, 1, queue_wait_timeout=5.0), 0.0)
    bench.limiters[TENANT].places = 1
    limiters = bench.controller.enqueue(item(THERE, queue_wait_timeout=5.0), 0.0)
    bench.controller.advance(5.0)
    for waiter in (own, limiters):
        assert waiter.refused is not None
        assert waiter.refused.reason == "queue_timeout"
        assert waiter.refused.denied.diagnostics["limit_of"] == "group tenant"
    bench.release(out)
