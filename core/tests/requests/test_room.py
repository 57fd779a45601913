"""Room at the request gate: what caps and limiters leave, and for whom it is kept."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import FrameType
from typing import Any

import pytest

from penstock import (
    NEVER,
    Backlog,
    Condition,
    Denied,
    Probe,
    ProviderKey,
    Released,
    RequestAdmissionItem,
    RequestPressureSnapshotProvider,
    RequestResourceKey,
    Signal,
)
from penstock.requests.outcomes import SUCCESS
from penstock.testing import RequestBench, ScriptedLimiter
from penstock.testing.request_bench import CHAT

ELSEWHERE = RequestResourceKey("p", "n", "chat")
PROVIDER = ProviderKey("p")


@pytest.fixture
def bench() -> RequestBench:
    return RequestBench({CHAT: 8, ELSEWHERE: 8})


class Climbing(ScriptedLimiter):
    """A limiter that leaves one request more with every second."""

    def __init__(self, scope: RequestResourceKey) -> None:
        super().__init__(scope)
        self.asked = 0

    def room(self, now: float) -> int:
        self.places = 1 + int(now)
        return self.places - self.in_flight

    def check(self, item: RequestAdmissionItem, now: float) -> Denied | Probe | None:
        self.asked += 1
        self.room(now)
        return super().check(item, now)

    def next_change(self, now: float) -> float:
        return int(now) + 1.0


def climbing() -> tuple[RequestBench, Climbing]:
    limiter = Climbing(CHAT)
    bench = RequestBench()
    bench.controller = type(bench.controller)(
        bench.events, make_limiters=lambda scope, cap: [("climbing", limiter)] if scope == CHAT else []
    )
    bench.controller.register("p", "m", 8, 0.0, domains=["chat"])
    return bench, limiter


def test_room_that_grows_by_time_alone_is_given_when_it_is_there() -> None:
    bench, _ = climbing()
    bench.lease()
    waiter = bench.wait()
    assert bench.controller.next_change(0.0) == 1.0
    assert bench.controller.advance(0.5).granted == []
    assert bench.controller.advance(1.0).granted == [waiter]


def test_when_room_grows_is_not_told_once_nobody_is_short_of_it() -> None:
    bench, _ = climbing()
    bench.controller.register("p", "n", 1, 0.0, domains=["chat"])
    bench.lease()
    short = bench.wait()
    bench.lease(ELSEWHERE)
    bench.wait(ELSEWHERE)
    assert bench.controller.next_change(0.0) == 1.0
    bench.controller.cancel(short, 0.0)
    bench.controller.advance(0.0)
    assert bench.controller.next_change(0.0) is None


def test_who_has_no_room_under_a_limiter_is_not_asked() -> None:
    bench, limiter = climbing()
    lease = bench.lease()
    for number in range(20):
        bench.wait(group=f"g{number}")
    limiter.asked = 0
    bench.controller.advance(0.5)
    assert limiter.asked == 0
    assert len(bench.release(lease)) == 1
    assert limiter.asked == 1


def test_a_large_call_under_a_limiter_is_not_passed_when_it_is_first(bench: RequestBench) -> None:
    bench.limiters[CHAT].places = 2
    leases = [bench.lease(), bench.lease()]
    large = bench.wait(group="large", requests=2)
    small = bench.wait(group="small")
    assert bench.release(leases[0]) == []
    newcomer = bench.wait(group="another")
    assert newcomer.lease is None
    assert bench.release(leases[1]) == [large]
    assert small.lease is None


def test_a_large_call_that_no_longer_fits_under_a_limit_is_passed(bench: RequestBench) -> None:
    bench.limiters[CHAT].places = 2
    first, second = bench.lease(), bench.lease()
    bench.wait(group="large", requests=2)
    small = bench.wait(group="small")
    assert bench.release(first) == []
    bench.limiters[CHAT].places = 1
    assert bench.release(second) == [small]


def test_a_large_call_of_one_model_holds_nobody_back_at_another(bench: RequestBench) -> None:
    _, there = [bench.lease() for _ in range(8)], [bench.lease(ELSEWHERE) for _ in range(8)]
    bench.wait(group="large", requests=2)
    waiters = [bench.wait(ELSEWHERE, group="small") for _ in range(3)]
    assert [waiter for lease in there[:3] for waiter in bench.release(lease)] == waiters


def test_a_large_call_holds_those_back_who_share_what_a_limiter_counts_of_the_provider(bench: RequestBench) -> None:
    bench.limiters[PROVIDER].places = 2
    leases = [bench.lease(ELSEWHERE), bench.lease(ELSEWHERE)]
    large = bench.wait(group="large", requests=2)
    small = bench.wait(ELSEWHERE, group="small")
    assert bench.release(leases[0]) == []
    assert bench.release(leases[1]) == [large]
    assert small.lease is None


def test_a_limiter_that_raises_when_it_is_asked_for_its_room_is_asked_for_each_call(bench: RequestBench) -> None:
    bench.limiters[CHAT].places = 1
    bench.limiters[CHAT].raises = {"room"}
    lease, waiter = bench.lease(), bench.wait()
    assert bench.release(lease) == [waiter]
    assert {hook for _, hook, _ in bench.failures} == {"penstock_request_limiter.room"}


@pytest.mark.parametrize("cohort", [None, "c"])
def test_a_refusal_of_all_covers_calls_of_every_model_until_it_ends(cohort: str | None) -> None:
    shut, asked = [True], []

    def rule(item: RequestAdmissionItem, _: RequestPressureSnapshotProvider, now: float) -> Denied | None:
        asked.append(item.resource)
        return Denied("hard_policy_denial", {Signal("s")}, "all", cohort=cohort) if shut else None

    bench = RequestBench({CHAT: 8, ELSEWHERE: 8}, rule=rule)
    first, second = bench.wait(), bench.wait(ELSEWHERE)
    asked.clear()
    bench.controller.advance(1.0)
    assert asked == []
    shut.clear()
    assert bench.controller.signal("s", 1.0).granted == [first, second]


@pytest.mark.parametrize("condition", [Backlog("other"), Released("other")], ids=str)
def test_what_is_about_a_group_is_told_by_the_name_that_callers_gave_it(condition: Condition) -> None:
    state: Mapping[str, list[bool]] = {"shut": [True]}

    def rule(item: RequestAdmissionItem, _: RequestPressureSnapshotProvider, now: float) -> Denied | None:
        held = state["shut"] and item.group.key == "held"
        return Denied("hard_policy_denial", {condition}, "group") if held else None

    bench = RequestBench({CHAT: 1, ELSEWHERE: 2}, rule=rule)
    lease = bench.lease(CHAT, group="other")
    waiter = bench.wait(ELSEWHERE, group="held")
    state["shut"].clear()
    if isinstance(condition, Released):
        assert bench.release(lease) == [waiter]
    else:
        bench.wait(CHAT, group="other")
        assert bench.controller.advance(1.0).granted == [waiter]


def test_a_call_that_asks_for_more_than_a_lowered_cap_is_told_at_once(bench: RequestBench) -> None:
    for _ in range(8):
        bench.lease()
    large, small = bench.wait(requests=5), bench.wait(requests=4)
    effects = bench.controller.register("p", "m", 4, 1.0)
    assert effects.refused == [large]
    assert bench.refused(large.refused).denied.reason == "never_fits"
    assert small.refused is None


def test_told_is_that_places_are_kept_for_another(bench: RequestBench) -> None:
    for _ in range(7):
        bench.lease()
    bench.wait(group="large", requests=4)
    bench.wait(group="small")
    (standing,) = bench.controller.explanation(1.0).resources
    told = {refused.groups: refused.detail for refused in standing.refusals}
    assert told[("large",)] == "the 8 places of p/m are taken"
    assert "are kept for calls that are next" in told[("small",)]


def lines_of(run: Callable[[], object]) -> int:
    """How many lines of Python a call runs through."""
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    gc.collect()
    gc.disable()  # what is forgotten meanwhile is not part of it
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
        gc.enable()
    return count


def test_a_refusal_for_good_costs_the_same_however_many_wait() -> None:
    costs = []
    for waiting in (5, 5, 500):  # the first one runs more or fewer lines, since it is the first
        doomed: list[str] = []

        def rule(
            item: RequestAdmissionItem,
            _: RequestPressureSnapshotProvider,
            now: float,
            doomed: Sequence[str] = doomed,
        ) -> Denied | None:
            return Denied("hard_policy_denial", {NEVER}) if item.group.key in doomed else None

        bench = RequestBench({CHAT: 1}, rule=rule, listen=False)
        lease = bench.lease(group="first")
        waiters = [bench.wait(group=f"g{number}") for number in range(waiting)]
        doomed.append("g0")
        release = partial(bench.controller.release, lease, SUCCESS, 1.0)
        costs.append(lines_of(release))
        assert waiters[0].refused is not None
        assert waiters[1].lease is not None
    assert costs[1] == costs[2]
