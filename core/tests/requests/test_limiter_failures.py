"""A limiter that raises fails closed, is named once, and loses no lease; the run goes on when it is taken out."""

from __future__ import annotations

import pytest

from penstock import (
    NEVER,
    At,
    Denied,
    Hints,
    PluginError,
    Released,
    RequestAdmissionDenied,
    RequestAdmissionItem,
    RequestResourceKey,
    Signal,
)
from penstock.requests.outcomes import SUCCESS
from penstock.testing import RequestBench, ScriptedLimiter
from penstock.testing.request_bench import CHAT

OTHER = RequestResourceKey("p", "other", "chat")


def test_an_error_in_check_refuses_the_call_until_the_configuration_is_renewed(bench: RequestBench) -> None:
    bench.limiters[CHAT].raises = {"check"}
    denied = bench.refused(bench.controller.try_acquire(bench.item(), 0.0)).denied
    assert (denied.reason, denied.by) == ("hard_policy_denial", "scripted")
    assert denied.until == {Signal("reconfigured")}
    assert "ZeroDivisionError" in denied.detail


def test_an_error_is_told_each_time_with_plugin_method_and_place(bench: RequestBench) -> None:
    bench.limiters[CHAT].raises = {"check"}
    for _ in range(2):
        bench.controller.try_acquire(bench.item(), 0.0)
    assert [(plugin, hook) for plugin, hook, _ in bench.failures] == [
        ("scripted", "penstock_request_limiter.check")
    ] * 2
    assert bench.failures[0][2].startswith("raised ZeroDivisionError at scripted_limiter.py:")


@pytest.mark.parametrize("method", ["acquire", "release"])
def test_an_error_in_counting_loses_no_lease_and_closes_the_limiter(bench: RequestBench, method: str) -> None:
    bench.limiters[CHAT].raises = {method}
    answer = bench.controller.try_acquire(bench.item(), 0.0)
    if method == "release":
        assert not isinstance(answer, RequestAdmissionDenied)
        bench.release(answer)
        answer = bench.controller.try_acquire(bench.item(), 0.0)
    assert bench.refused(answer).denied.reason == "hard_policy_denial"
    assert bench.in_flight() == (0, 0)
    assert [limiter.in_flight for scope, limiter in bench.limiters.items() if scope != CHAT] == [0, 0]
    issued, returned = bench.controller.leases
    assert issued == returned
    bench.limiters[CHAT].raises = set()
    assert bench.refused(bench.controller.try_acquire(bench.item(), 0.0)).denied.reason == "hard_policy_denial", (
        "its counts are in doubt"
    )
    bench.controller.check_invariants()


@pytest.mark.parametrize("method", ["check", "acquire", "release", "set_cap"])
def test_the_run_goes_on_when_the_limiter_is_taken_out(method: str) -> None:
    bench = RequestBench({CHAT: 3})
    lease = bench.lease(requests=3)
    bench.limiters[CHAT].raises = {method}
    waiters = [bench.wait(), bench.wait()]
    bench.controller.register("p", "m", 2, 0.5)
    bench.controller.release(lease, SUCCESS, 1.0)
    assert [waiter.lease for waiter in waiters] == [None, None]
    effects = bench.controller.reconfigure(lambda scope, cap: (), 2.0)
    assert effects.granted == waiters
    bench.controller.check_invariants()


def test_a_limiter_that_fails_for_one_model_keeps_no_other_back() -> None:
    bench = RequestBench({CHAT: 2, OTHER: 1})
    bench.limiters[CHAT].raises = {"check"}
    lease = bench.lease(OTHER)
    bench.wait(CHAT)
    other = bench.wait(OTHER)
    assert bench.release(lease) == [other]


@pytest.mark.parametrize("method", ["snapshot", "next_change", "observe"])
def test_an_error_in_what_only_informs_keeps_nobody_back(bench: RequestBench, method: str) -> None:
    bench.limiters[CHAT].raises = {method}
    lease = bench.lease(requests=2)
    bench.controller.observe(lease, Hints(), 0.0)
    waiter = bench.wait()
    assert bench.controller.pressure.snapshot(CHAT, 0.0) is not None
    assert bench.release(lease) == [waiter]


def test_a_limiter_that_cannot_be_made_ends_the_registration_and_leaves_no_trace() -> None:
    def fail(scope: object, cap: object) -> list[tuple[str, object]]:
        raise ZeroDivisionError("no such limiter")

    bench = RequestBench({})
    bench.controller.reconfigure(fail, 0.0)  # type: ignore[arg-type]
    with pytest.raises(PluginError, match="no such limiter"):
        bench.controller.register("p", "m", 1, 0.0)
    assert bench.controller.pressure.global_snapshots(0.0) == {}


@pytest.mark.parametrize(
    "broken",
    [
        "yes",
        Denied("borrow_debt", {Released(CHAT)}),
        Denied("no_capacity", ()),
        Denied("no_capacity", {At(0.0)}),
        Denied("no_capacity", {NEVER, At(9.0)}),
    ],
)
def test_a_refusal_that_breaks_the_rules_of_refusals_fails_closed_and_is_named(broken: object) -> None:
    def rule(item: RequestAdmissionItem, pressure: object, now: float) -> Denied | None:
        return broken  # type: ignore[return-value]

    bench = RequestBench({CHAT: 2}, rule=rule)
    denied = bench.refused(bench.controller.try_acquire(bench.item(), 1.0)).denied
    assert denied.reason == "hard_policy_denial"
    assert denied.until == {Signal("reconfigured")}
    assert len(bench.failures) == 1


def test_a_rule_that_raises_fails_closed() -> None:
    def rule(item: RequestAdmissionItem, pressure: object, now: float) -> Denied | None:
        raise ZeroDivisionError

    bench = RequestBench({CHAT: 2}, rule=rule)
    assert bench.refused(bench.controller.try_acquire(bench.item(), 1.0)).denied.reason == "hard_policy_denial"


def test_a_refusal_of_everybody_by_a_limiter_means_everybody_under_that_limiter() -> None:
    class Everybody(ScriptedLimiter):
        def check(self, item: RequestAdmissionItem, now: float) -> Denied | None:
            return Denied("no_capacity", {Signal("go")}, scope="all")

    bench = RequestBench({CHAT: 2, OTHER: 2})
    bench.controller.reconfigure(
        lambda scope, cap: [("s", Everybody(scope) if scope == CHAT else ScriptedLimiter(scope))], 0.0
    )
    bench.wait(CHAT)
    assert bench.controller.enqueue(bench.item(OTHER), 0.0).lease is not None
