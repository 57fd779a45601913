"""What the request gate tells of those who wait: the refusals under which they are parked, folded."""

from __future__ import annotations

import json

from penstock.testing import RequestBench
from penstock.testing.request_bench import CHAT


def test_told_is_the_refusal_under_which_a_call_is_parked_and_since_when(bench: RequestBench) -> None:
    held = bench.lease(requests=2)
    bench.wait(now=1.0)
    (standing,) = bench.controller.explanation(3.5).resources
    assert (standing.resource, standing.waiting, standing.first_wait) == ("p/m/chat", 1, 2.5)
    assert (standing.in_flight, standing.cap) == (2, 2)
    (refused,) = standing.refusals
    assert (refused.reason, refused.by, refused.refused_for) == ("no_capacity", "core", 2.5)

    bench.limiters[CHAT].blocked_until = 60.0
    bench.release(held, now=10.0)
    (standing,) = bench.controller.explanation(12.0).resources
    (refused,) = standing.refusals
    assert (refused.reason, refused.by, refused.refused_for) == ("cooldown", "scripted", 2.0)
    assert (refused.moment, refused.until) == (60.0, "48.0 s from now")


def test_a_call_that_is_parked_is_not_told_to_be_next_when_its_limiter_would_answer_otherwise(
    bench: RequestBench,
) -> None:
    bench.limiters[CHAT].blocked_until = 60.0
    bench.wait(now=1.0)
    bench.limiters[CHAT].blocked_until = 0.0  # nothing has woken the call: it is parked until the moment 60
    (standing,) = bench.controller.explanation(30.0).resources
    assert [(refused.reason, refused.refused_for) for refused in standing.refusals] == [("cooldown", 29.0)]


def test_a_refusal_that_is_met_again_is_in_force_since_it_was_met_first(bench: RequestBench) -> None:
    bench.limiters[CHAT].blocked_until = 60.0
    bench.wait(now=1.0)
    bench.controller.signal("any", 20.0)
    bench.limiters[CHAT].blocked_until = 90.0
    bench.controller.advance(60.0)
    (standing,) = bench.controller.explanation(61.0).resources
    assert [(refused.moment, refused.refused_for) for refused in standing.refusals] == [(90.0, 60.0)]


def test_all_who_wait_under_one_refusal_wait_until_what_its_latest_answer_named(bench: RequestBench) -> None:
    bench.limiters[CHAT].blocked_until = 60.0
    for group in ("a", "b"):
        bench.wait(group=group)
    bench.limiters[CHAT].blocked_until = 90.0
    bench.controller.advance(60.0)
    (standing,) = bench.controller.explanation(70.0).resources
    assert [(refused.moment, refused.waiting) for refused in standing.refusals] == [(90.0, 2)]


def test_two_thousand_waiters_of_many_groups_are_one_refusal_with_the_first_names(bench: RequestBench) -> None:
    bench.lease(requests=2)
    for number in range(2000):
        bench.wait(group=f"tenant-{number % 200}")
    told = bench.controller.explanation(1.0)
    (refused,) = told.resources[0].refusals
    assert (refused.waiting, refused.more_groups) == (2000, 195)
    assert refused.groups == ("tenant-0", "tenant-1", "tenant-2", "tenant-3", "tenant-4")
    assert len(str(told).splitlines()) == 2
    assert "2000 refused, no_capacity by core" in str(told)
    assert "tenant-4 and 195 more" in str(told)
    json.dumps(told.as_dict(), allow_nan=False)


def test_every_group_is_told_and_not_only_that_of_the_first_waiter(bench: RequestBench) -> None:
    bench.lease()
    bench.wait(group="large", requests=2)
    bench.limiters[CHAT].blocked_until = 60.0
    bench.wait(group="small", now=1.0)
    (standing,) = bench.controller.explanation(2.0).resources
    assert {(refused.reason, refused.groups) for refused in standing.refusals} == {("cooldown", ("large", "small"))}


def test_cooldowns_are_told_where_nobody_waits(bench: RequestBench) -> None:
    bench.lease()
    bench.limiters[CHAT].blocked_until = 60.0
    told = bench.controller.explanation(12.0)
    assert told.cooldowns == {"p/m/chat": 48.0}


def test_calls_that_wait_for_a_plugin_which_could_not_answer_are_one_refusal_until_the_first_is_given_up(
    bench: RequestBench,
) -> None:
    bench.limiters[CHAT].raises.add("check")
    for number in range(20):
        bench.wait(now=float(number))
    (refused,) = bench.controller.explanation(30.0).resources[0].refusals
    assert (refused.waiting, refused.by, refused.refused_for, refused.moment) == (20, "scripted", 30.0, 300.0)
    assert "ZeroDivisionError" in refused.detail
