"""The controller of the request gate, decision by decision."""

from __future__ import annotations

import pytest

from penstock import (
    NEVER,
    Backlog,
    ConfigError,
    Denied,
    FifoRequestWaiters,
    PluginError,
    ProviderKey,
    ProviderModelKey,
    Released,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestQueueSelection,
    RequestReleaseOutcome,
    RequestResourceKey,
    RequestWaiter,
    Signal,
)
from penstock.requests.outcomes import SUCCESS
from penstock.testing import RequestBench
from penstock.testing.request_bench import CHAT

EMBEDDING = RequestResourceKey("p", "m", "embedding")
OTHER = RequestResourceKey("p", "other", "chat")


# -- caps


def test_the_cap_holds_over_all_domains_of_a_model(bench: RequestBench) -> None:
    bench.lease(CHAT)
    bench.lease(EMBEDDING)
    denied = bench.refused(bench.controller.try_acquire(bench.item(CHAT), 0.0)).denied
    assert denied.reason == "no_capacity"
    assert denied.until == {Released(ProviderModelKey("p", "m"))}
    assert bench.in_flight(CHAT) == (1, 2)


def test_a_domain_may_have_a_smaller_cap_of_its_own(bench: RequestBench) -> None:
    bench.controller.register("p", "m", 5, 0.0, domain_caps={"embedding": 1})
    bench.lease(EMBEDDING)
    assert bench.refused(bench.controller.try_acquire(bench.item(EMBEDDING), 0.0)).denied.until == {Released(EMBEDDING)}
    bench.lease(CHAT)


def test_the_smallest_cap_of_a_models_aliases_holds(bench: RequestBench) -> None:
    bench.controller.register("p", "m", {"fast": 7, "cheap": 1}, 0.0)
    bench.lease()
    bench.refused(bench.controller.try_acquire(bench.item(), 0.0))
    model = bench.controller.pressure.global_snapshot("p", "m", 0.0)
    assert model is not None
    assert (model.cap, model.aliases) == (1, ("cheap", "fast"))


@pytest.mark.parametrize("cap", [0, -1, True, 2.0, "2", {}])
def test_a_cap_that_is_no_whole_number_from_1_on_is_an_error_and_changes_nothing(
    bench: RequestBench, cap: object
) -> None:
    with pytest.raises(ConfigError):
        bench.controller.register("p", "new", cap, 0.0)  # type: ignore[arg-type]
    assert not bench.controller.knows(ProviderModelKey("p", "new"))


def test_a_call_that_asks_for_more_than_the_cap_is_refused_for_good(bench: RequestBench) -> None:
    for answer in (
        bench.controller.try_acquire(bench.item(requests=3), 0.0),
        bench.controller.enqueue(bench.item(requests=3), 0.0).refused,
    ):
        assert bench.refused(answer).denied.reason == "never_fits"
        assert bench.refused(answer).denied.until == {NEVER}


def test_an_unknown_model_is_refused_for_good_with_what_to_configure_and_leaves_no_trace(bench: RequestBench) -> None:
    unknown = RequestResourceKey("x", "new.model", "chat")
    denied = bench.refused(bench.controller.try_acquire(bench.item(unknown), 0.0)).denied
    assert (denied.reason, denied.final) == ("never_fits", True)
    assert '[providers.x.models."new.model"]' in denied.detail
    assert "max_parallel_requests" in denied.detail
    assert bench.controller.pressure.snapshot(unknown, 0.0) is None
    assert list(bench.controller.pressure.global_snapshots(0.0)) == [ProviderModelKey("p", "m")]
    assert set(bench.limiters) == {ProviderKey("p"), ProviderModelKey("p", "m"), CHAT}


def test_a_model_may_be_registered_late(bench: RequestBench) -> None:
    bench.refused(bench.controller.try_acquire(bench.item(OTHER), 0.0))
    bench.controller.register("p", "other", 1, 5.0)
    bench.lease(OTHER, 5.0)


def test_a_raised_cap_wakes_as_many_as_it_makes_room_for(bench: RequestBench) -> None:
    bench.lease()
    bench.lease()
    waiters = [bench.wait() for _ in range(5)]
    effects = bench.controller.register("p", "m", 4, 1.0)
    assert effects.granted == waiters[:2]
    assert bench.limiters[ProviderModelKey("p", "m")].caps == [4]
    assert bench.limiters[CHAT].caps == [4]
    bench.controller.check_invariants()


def test_a_lowered_cap_holds_at_once_and_being_above_it_is_legal() -> None:
    bench = RequestBench({CHAT: 4})
    leases = [bench.lease() for _ in range(4)]
    waiter = bench.wait()
    bench.controller.register("p", "m", 2, 1.0)
    bench.controller.check_invariants()
    assert bench.in_flight() == (4, 4)
    assert bench.release(leases[0]) == []
    assert bench.release(leases[1]) == []
    assert bench.release(leases[2]) == [waiter]


def test_a_waiter_that_a_lowered_cap_can_never_fit_is_refused_when_its_turn_comes() -> None:
    bench = RequestBench({CHAT: 4})
    lease = bench.lease(requests=4)
    waiter = bench.wait(requests=3)
    small = bench.wait(requests=1)
    effects = bench.controller.register("p", "m", 2, 1.0)
    effects_of_release = bench.controller.release(lease, SUCCESS, 1.0)
    assert [*effects.refused, *effects_of_release.refused] == [waiter]
    assert bench.refused(waiter.refused).denied.reason == "never_fits"
    assert effects_of_release.granted == [small]


# -- leases


def test_a_lease_counts_exactly_once_and_comes_back_exactly_once(bench: RequestBench) -> None:
    lease = bench.lease(requests=2)
    assert bench.in_flight() == (2, 2)
    assert bench.release(lease) == []
    again = bench.controller.release(lease, SUCCESS, 0.0)
    assert again.release is not None
    assert (again.release.released, again.release.reason) == (False, "duplicate")
    assert bench.in_flight() == (0, 0)
    assert [limiter.in_flight for limiter in bench.limiters.values()] == [0, 0, 0]


def test_a_lease_of_another_controller_changes_nothing() -> None:
    ours, theirs = RequestBench({CHAT: 2}), RequestBench({CHAT: 2}, lease_prefix="other-", generation=2)
    foreign = theirs.lease()
    result = ours.controller.release(foreign, SUCCESS, 0.0).release
    assert result is not None
    assert (result.released, result.reason) == (False, "wrong_controller_generation")


def test_a_lease_names_the_limit_that_it_was_admitted_under() -> None:
    bench = RequestBench({CHAT: 9})
    bench.limiters[CHAT].places = 4
    bench.limiters[ProviderKey("p")].places = 6
    lease = bench.lease(now=3.0)
    assert (lease.limit_at_admission, lease.effective_max, lease.acquired_at) == (4, 9, 3.0)


def test_the_outcome_reaches_every_limiter_that_had_a_say(bench: RequestBench) -> None:
    lease = bench.lease()
    outcome = RequestReleaseOutcome(kind="rate_limited", retry_after_seconds=2.0)
    bench.controller.release(lease, outcome, 1.0)
    assert [limiter.outcomes for limiter in bench.limiters.values()] == [[outcome]] * 3


# -- rules, signals, configuration


def test_a_rule_is_asked_after_the_limiters_and_refuses_by_its_own_condition() -> None:
    asked: list[RequestAdmissionItem] = []

    def quiet(item: RequestAdmissionItem, pressure: object, now: float) -> Denied | None:
        asked.append(item)
        return Denied("hard_policy_denial", {Signal("morning")}, detail="quiet hours", by="quiet") if now < 9 else None

    bench = RequestBench({CHAT: 2}, rule=quiet)
    bench.limiters[CHAT].blocked_until = 1.0
    waiter = bench.wait()
    assert asked == []
    bench.controller.advance(1.0)
    assert asked
    assert "quiet hours" in str(bench.controller.explanation(1.0))
    assert bench.controller.signal("evening", 9.0).granted == []
    assert bench.controller.signal("morning", 9.0).granted == [waiter]


def test_a_rule_may_wait_for_a_change_of_the_backlog() -> None:
    wanted = 3

    def together(item: RequestAdmissionItem, pressure: object, now: float) -> Denied | None:
        if bench.controller.queue_view.queued_total >= wanted:
            return None
        return Denied("hard_policy_denial", {Backlog(CHAT)}, by="together")

    bench = RequestBench({CHAT: 2}, rule=together)
    first, second = bench.wait(), bench.wait()
    third = bench.controller.enqueue(bench.item(), 1.0)
    assert bench.controller.next_change(1.0) == 1.0
    wanted = 1
    assert [*bench.controller.advance(1.0).granted] == [first, second]
    assert third.lease is None


def test_new_limiters_are_asked_at_once_and_leases_keep_the_old_ones(bench: RequestBench) -> None:
    old = bench.limiters[CHAT]
    old.places = 1
    lease = bench.lease()
    old.blocked_until = 1000.0
    waiter = bench.wait()
    effects = bench.controller.reconfigure(bench.make_limiters, 2.0)
    new = bench.limiters[CHAT]
    assert new is not old
    assert effects.granted == [waiter]
    bench.release(lease, 3.0)
    assert waiter.lease is not None
    bench.release(waiter.lease, 3.0)
    assert (old.in_flight, len(old.outcomes)) == (0, 1)
    assert (new.in_flight, len(new.outcomes)) == (0, 1)


def test_a_reconfiguration_that_fails_leaves_everything_as_it_was(bench: RequestBench) -> None:
    old = bench.limiters[CHAT]

    def fail(scope: object, cap: object) -> list[object]:
        raise ZeroDivisionError

    with pytest.raises(PluginError, match="ZeroDivisionError"):
        bench.controller.reconfigure(fail, 1.0)  # type: ignore[arg-type]
    bench.lease()
    assert old.in_flight == 1


def test_an_explanation_has_a_text(bench: RequestBench) -> None:
    assert str(bench.controller.explanation(0.0)) == "no request is waiting"
    bench.limiters[CHAT].blocked_until = 60.0
    bench.wait(now=1.0)
    assert str(bench.controller.explanation(3.5)) == (
        "p/m/chat: 1 waiting, the first for 2.5 s; 0 of 2 in flight\n  "
        "1 refused, cooldown by scripted; for 2.5 s, until 56.5 s from now\n"
        "p/m/chat is cooling down, for 56.5 s from now"
    )


# -- a queue that breaks its contract


class StaleWaiters(FifoRequestWaiters):
    """Never commits."""

    def commit(self, selection: RequestQueueSelection, now: float) -> RequestWaiter | None:
        return None


def test_a_queue_that_never_commits_is_named_and_loses_no_place() -> None:
    bench = RequestBench({CHAT: 1}, waiters=StaleWaiters())
    lease = bench.lease()
    bench.wait()
    with pytest.raises(PluginError) as caught:
        bench.controller.release(lease, SUCCESS, 0.0)
    assert caught.value.plugin == "StaleWaiters"
    assert bench.in_flight() == (0, 0)
    assert bench.limiters[CHAT].in_flight == 0


def test_a_moment_beside_a_refusal_that_names_none_is_taken_from_the_limiter(bench: RequestBench) -> None:
    class Ramp:
        """Opens by time, and does not say so in its refusals."""

        def __getattr__(self, name: str) -> object:
            return getattr(limiter, name)

        def check(self, item: RequestAdmissionItem, now: float) -> Denied | None:
            return Denied("no_capacity", {Released(CHAT)}) if now < 7.0 else None

        def next_change(self, now: float) -> float | None:
            return 7.0 if now < 7.0 else None

    limiter = bench.limiters[CHAT]
    bench.controller.reconfigure(lambda scope, cap: [("ramp", Ramp())] if scope == CHAT else [], 0.0)  # type: ignore[list-item]
    waiter = bench.wait()
    assert bench.controller.next_change(0.0) == 7.0
    assert bench.controller.advance(7.0).granted == [waiter]


def test_a_lease_is_what_it_says(bench: RequestBench) -> None:
    lease = bench.lease(now=4.0)
    assert isinstance(lease, RequestAdmissionLease)
    assert lease.lease_id == "request-1-1"
    assert lease.controller_generation == 1
