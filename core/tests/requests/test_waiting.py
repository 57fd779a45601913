"""Who waits at the request gate, in which order they are served, and how their waits end."""

from __future__ import annotations

import pytest

from penstock import (
    At,
    Denied,
    Hints,
    LimiterChange,
    ProviderKey,
    RequestAdmissionDenied,
    RequestAdmissionItem,
    RequestPressureSnapshotProvider,
    RequestResourceKey,
    Signal,
)
from penstock.requests.outcomes import SUCCESS
from penstock.testing import RequestBench
from penstock.testing.request_bench import CHAT

OTHER = RequestResourceKey("p", "other", "chat")


# -- the queue


def test_a_free_place_is_a_lease_at_once_also_with_a_timeout_of_0(bench: RequestBench) -> None:
    waiter = bench.controller.enqueue(bench.item(timeout=0.0), 0.0)
    assert waiter.lease is not None
    assert waiter.lease.item is waiter.item


def test_a_timeout_of_0_without_a_free_place_is_a_refusal_at_once(bench: RequestBench) -> None:
    bench.lease()
    bench.lease()
    waiter = bench.controller.enqueue(bench.item(timeout=0.0), 0.0)
    assert bench.refused(waiter.refused).denied.reason == "no_capacity"
    bench.controller.check_invariants()


def test_a_timeout_of_0_is_a_lease_where_others_wait_for_something_else(bench: RequestBench) -> None:
    bench.controller.register("p", "other", 1, 0.0)
    bench.lease()
    bench.lease()
    bench.wait()
    assert bench.controller.enqueue(bench.item(OTHER, timeout=0.0), 0.0).lease is not None


def test_a_release_serves_the_waiters_in_order(bench: RequestBench) -> None:
    leases = [bench.lease(), bench.lease()]
    waiters = [bench.wait() for _ in range(4)]
    assert bench.release(leases[0]) == [waiters[0]]
    assert bench.release(leases[1]) == [waiters[1]]
    assert waiters[0].lease is not None
    assert bench.release(waiters[0].lease) == [waiters[2]]


def test_who_is_refused_at_one_model_holds_nobody_back_at_another(bench: RequestBench) -> None:
    bench.controller.register("p", "other", 1, 0.0)
    bench.lease()
    bench.lease()
    bench.wait()
    assert bench.controller.enqueue(bench.item(OTHER), 0.0).lease is not None


def test_trying_does_not_overtake_a_waiter_that_may_go(bench: RequestBench) -> None:
    leases = [bench.lease(), bench.lease()]
    first = bench.wait(requests=2)
    second = bench.wait(requests=1)
    assert bench.release(leases[0]) == []
    assert bench.controller.cancel(first, 1.0)
    answer = bench.refused(bench.controller.try_acquire(bench.item(), 1.0))
    assert answer.denied.reason == "queued_waiters_ahead"
    assert bench.controller.next_change(1.0) == 1.0
    assert bench.controller.advance(1.0).granted == [second]


def test_a_cancelled_head_frees_the_way_for_those_behind_it(bench: RequestBench) -> None:
    lease = bench.lease()
    head, behind = bench.wait(requests=2), bench.wait()
    assert bench.controller.cancel(head, 1.0)
    assert bench.controller.next_change(1.0) == 1.0
    assert bench.controller.advance(1.0).granted == [behind]
    assert not bench.controller.cancel(head, 1.0)
    assert not bench.controller.cancel(behind, 1.0), "it has its lease: there is nothing to cancel"
    bench.release(lease)


def test_nothing_is_due_while_nobody_waits(bench: RequestBench) -> None:
    bench.limiters[CHAT].blocked_until = 9.0
    assert bench.controller.next_change(0.0) is None
    bench.wait()
    assert bench.controller.next_change(0.0) == 9.0


def test_the_end_of_a_cooldown_wakes_waiters_by_itself(bench: RequestBench) -> None:
    bench.limiters[CHAT].blocked_until = 9.0
    waiters = [bench.wait() for _ in range(3)]
    assert bench.controller.advance(8.999).granted == []
    assert bench.controller.advance(9.0).granted == waiters[:2]


def test_one_item_may_wait_more_than_once(bench: RequestBench) -> None:
    leases = [bench.lease(), bench.lease()]
    item = bench.item()
    waiters = [bench.controller.enqueue(item, 0.0) for _ in range(3)]
    assert bench.release(leases[0]) == [waiters[0]]
    assert bench.release(leases[1]) == [waiters[1]]
    assert bench.controller.close(1.0).refused == [waiters[2]]
    bench.controller.check_invariants()


def test_a_limit_that_grew_at_a_release_serves_more_than_one() -> None:
    bench = RequestBench({CHAT: 8})
    limiter = bench.limiters[CHAT]
    limiter.places = 1
    lease = bench.lease()
    waiters = [bench.wait() for _ in range(5)]
    limiter.places = 3
    limiter.answers.append([LimiterChange("request_limit_increased", 1, 3)])
    assert bench.release(lease) == waiters[:3]


def test_a_limit_of_the_whole_provider_holds_over_its_models() -> None:
    bench = RequestBench({CHAT: 8, OTHER: 8})
    bench.limiters[ProviderKey("p")].places = 1
    lease = bench.lease(CHAT)
    waiters = [bench.wait(OTHER), bench.wait(CHAT)]
    assert bench.release(lease) == waiters[:1]
    assert waiters[0].lease is not None
    assert bench.release(waiters[0].lease) == waiters[1:]


def test_hints_reach_the_limiters_of_the_lease_and_may_wake_waiters(bench: RequestBench) -> None:
    limiter = bench.limiters[CHAT]
    limiter.places = 1
    lease = bench.lease()
    waiter = bench.wait()
    limiter.places = 2
    assert bench.controller.observe(lease, Hints(not_before_seconds=2.0), 1.0).granted == [waiter]
    assert limiter.observed == [Hints(not_before_seconds=2.0)]
    bench.release(lease)
    assert bench.controller.observe(lease, Hints(), 2.0).granted == []
    assert len(limiter.observed) == 1, "a lease that has come back observes nothing"


# -- how long one waits


def test_a_wait_ends_by_its_timeout(bench: RequestBench) -> None:
    bench.lease()
    bench.lease()
    waiter = bench.wait(timeout=5.0, now=1.0)
    assert bench.controller.next_change(1.0) == 6.0
    assert bench.controller.advance(5.9).refused == []
    assert bench.controller.advance(6.0).refused == [waiter]
    denied = bench.refused(waiter.refused).denied
    assert denied.reason == "queue_timeout"
    assert "the 2 places of p/m are taken" in denied.detail
    bench.controller.check_invariants()


def test_a_wait_ends_by_its_deadline(bench: RequestBench) -> None:
    bench.lease()
    bench.lease()
    waiter = bench.wait(timeout=50.0, deadline=3.0)
    assert bench.controller.advance(3.0).refused == [waiter]
    assert bench.refused(waiter.refused).denied.reason == "deadline"


def test_no_waiters_timeout_hides_anothers_turn(bench: RequestBench) -> None:
    leases = [bench.lease(), bench.lease()]
    longer = bench.wait(timeout=100.0)
    shorter = bench.wait(timeout=1.0)
    assert bench.controller.advance(1.0).refused == [shorter]
    assert bench.release(leases[0], 2.0) == [longer]
    assert bench.controller.next_change(2.0) is None


def test_a_late_clock_does_not_turn_a_waiter_that_could_go_into_a_timeout(bench: RequestBench) -> None:
    bench.limiters[CHAT].blocked_until = 4.0
    waiter = bench.wait(timeout=5.0)
    effects = bench.controller.advance(30.0)
    assert effects.granted == [waiter]
    assert effects.refused == []


def test_nobody_starts_after_its_deadline_however_late_the_clock(bench: RequestBench) -> None:
    bench.limiters[CHAT].blocked_until = 4.0
    waiter = bench.wait(deadline=5.0)
    effects = bench.controller.advance(30.0)
    assert (effects.granted, effects.refused) == ([], [waiter])


def test_a_release_gives_no_lease_to_one_whose_deadline_has_passed(bench: RequestBench) -> None:
    leases = [bench.lease(), bench.lease()]
    late, next_one = bench.wait(deadline=5.0), bench.wait()
    effects = bench.controller.release(leases[0], SUCCESS, 5.5)
    assert (effects.granted, effects.refused) == ([next_one], [late])


def test_who_asks_after_its_deadline_is_refused_at_once(bench: RequestBench) -> None:
    assert bench.refused(bench.controller.try_acquire(bench.item(deadline=1.0), 2.0)).denied.reason == "deadline"
    assert bench.refused(bench.controller.enqueue(bench.item(deadline=1.0), 2.0).refused).denied.reason == "deadline"


@pytest.mark.parametrize("bound", [{"deadline": 5.0}, {"timeout": 5.0}])
def test_a_cooldown_longer_than_the_caller_can_wait_is_a_refusal_at_once(
    bench: RequestBench, bound: dict[str, float]
) -> None:
    bench.limiters[CHAT].blocked_until = 60.0
    answer = bench.refused(bench.controller.enqueue(bench.item(**bound), 0.0).refused)  # type: ignore[arg-type]
    assert answer.denied.reason == "cooldown"
    assert (answer.available_after_monotonic, answer.retry_after_seconds) == (60.0, 60.0)
    assert bench.wait(timeout=61.0).refused is None


def test_a_cooldown_that_becomes_too_long_for_a_waiter_ends_its_wait(bench: RequestBench) -> None:
    lease = bench.lease(requests=2)
    waiter = bench.wait(deadline=30.0)
    bench.limiters[CHAT].blocked_until = 60.0
    effects = bench.controller.release(lease, SUCCESS, 1.0)
    assert effects.refused == [waiter]
    assert bench.refused(waiter.refused).denied.reason == "cooldown"


def test_closing_refuses_everybody_and_leases_come_back_as_ever(bench: RequestBench) -> None:
    leases = [bench.lease(), bench.lease()]
    waiters = [bench.wait(), bench.wait()]
    assert bench.controller.close(1.0).refused == waiters
    assert {bench.refused(waiter.refused).denied.reason for waiter in waiters} == {"shutdown"}
    assert bench.refused(bench.controller.try_acquire(bench.item(), 1.0)).denied.reason == "shutdown"
    for lease in leases:
        assert bench.release(lease) == []
    assert bench.controller.leases == (2, 2)


def test_who_waits_behind_a_large_call_goes_when_that_is_cancelled(bench: RequestBench) -> None:
    first = bench.lease()
    bench.lease()
    large, small = bench.wait(requests=2), bench.wait()
    bench.release(first)
    assert bench.controller.cancel(large, 1.0)
    assert bench.controller.next_change(1.0) == 1.0
    assert bench.controller.advance(1.0).granted == [small]


def test_who_waits_behind_a_large_call_goes_at_the_moment_at_which_that_gives_up(bench: RequestBench) -> None:
    first = bench.lease()
    bench.lease()
    large, small = bench.wait(requests=2, timeout=2.0), bench.wait()
    bench.release(first)
    effects = bench.controller.advance(2.0)
    assert (effects.refused, effects.granted) == ([large], [small])


def test_a_refusal_names_the_cap_of_today(bench: RequestBench) -> None:
    for cap in (2, 1):
        bench.controller.register("p", "m", 5, 0.0, domain_caps={"chat": cap})
        while not isinstance(answer := bench.controller.try_acquire(bench.item(), 0.0), RequestAdmissionDenied):
            pass
        assert f"the {cap} places of p/m/chat" in answer.denied.detail


@pytest.mark.parametrize(("timeout", "waits"), [(19.0, False), (20.0, True), (21.0, True)])
def test_who_gives_up_before_a_cooldown_ends_is_refused_at_once(
    bench: RequestBench, timeout: float, waits: bool
) -> None:
    bench.limiters[CHAT].blocked_until = 20.0
    waiter = bench.controller.enqueue(bench.item(timeout=timeout), 0.0)
    assert (waiter.refused is None) is waits


def test_a_moment_that_comes_too_late_is_no_reason_not_to_wait_for_a_signal() -> None:
    def rule(item: RequestAdmissionItem, pressure: RequestPressureSnapshotProvider, now: float) -> Denied:
        return Denied("hard_policy_denial", {At(20.0), Signal("go")})

    bench = RequestBench({CHAT: 1}, rule=rule)
    assert bench.controller.enqueue(bench.item(timeout=5.0), 0.0).refused is None
