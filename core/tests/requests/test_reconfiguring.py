"""The request gate's plan: limiters stay, take over or are made anew; until it is carried out nothing has changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from penstock import (
    LimiterSnapshot,
    PluginError,
    ProviderModelKey,
    ProviderModelStaticCap,
    RequestLimiter,
    RequestResourceKey,
    Scope,
)
from penstock.requests.outcomes import SUCCESS
from penstock.requests.reconfiguring import ModelCaps, Successor
from penstock.testing import RequestBench, ScriptedLimiter
from penstock.testing.request_bench import CHAT

MODEL = CHAT.provider_model
OTHER = RequestResourceKey("q", "n", "chat")
Before = Sequence[tuple[str, RequestLimiter]]


def caps(key: ProviderModelKey, cap: int, **domains: int) -> ModelCaps:
    return ModelCaps(key, ProviderModelStaticCap.merge({key.model_id: cap}), domains)


def keep(scope: Scope, cap: int | None, before: Before) -> list[Successor]:
    return [Successor(plugin, limiter, inherits=True) for plugin, limiter in before]


def replace(made: dict[Scope, ScriptedLimiter]) -> Callable[[Scope, int | None, Before], list[Successor]]:
    """Others that take over."""

    def remake(scope: Scope, cap: int | None, before: Before) -> list[Successor]:
        limiter = made[scope] = ScriptedLimiter(scope)
        for _, previous in before:
            assert isinstance(previous, ScriptedLimiter)
            limiter.adopt(previous)
        return [Successor("scripted", limiter, inherits=bool(before))]

    return remake


def test_a_limiter_that_stays_keeps_its_calls_and_its_word(bench: RequestBench) -> None:
    lease = bench.lease()
    limiter = bench.limiters[CHAT]
    limiter.blocked_until = 60.0
    plan = bench.controller.plan(bench.make_limiters, keep)
    assert (plan.kept, plan.taken_over, plan.made, plan.dropped) == (3, 0, 0, 0)
    bench.controller.carry_out(plan, 1.0)
    bench.release(lease, 2.0)
    assert len(limiter.outcomes) == 1
    assert bench.refused(bench.controller.try_acquire(bench.item(), 2.0)).denied.reason == "cooldown"


def test_calls_that_are_out_end_with_the_limiter_that_took_over(bench: RequestBench) -> None:
    lease = bench.lease()
    before, made = bench.limiters[CHAT], dict[Scope, ScriptedLimiter]()
    plan = bench.controller.plan(bench.make_limiters, replace(made))
    assert (plan.taken_over, plan.made, plan.dropped) == (3, 0, 0)
    bench.controller.carry_out(plan, 1.0)
    bench.release(lease, 2.0)
    assert (len(before.outcomes), len(made[CHAT].outcomes)) == (0, 1)


def test_a_limiter_whose_counts_are_in_doubt_is_made_anew(bench: RequestBench) -> None:
    bench.limiters[CHAT].raises = {"acquire"}
    bench.refused(bench.controller.try_acquire(bench.item(), 0.0))
    made: dict[Scope, ScriptedLimiter] = {}
    plan = bench.controller.plan(bench.make_limiters, replace(made))
    assert (plan.taken_over, plan.made, plan.dropped) == (2, 1, 1)
    bench.controller.carry_out(plan, 1.0)
    bench.lease(now=1.0)


def test_a_plan_that_is_not_carried_out_has_changed_nothing(bench: RequestBench) -> None:
    before = dict(bench.limiters)
    bench.controller.plan(lambda scope, cap: [], caps=[caps(MODEL, 7), caps(OTHER.provider_model, 1)])
    assert not bench.controller.knows(OTHER.provider_model)
    bench.lease()
    bench.lease()
    assert bench.refused(bench.controller.try_acquire(bench.item(), 0.0)).denied.reason == "no_capacity"
    assert before[CHAT].in_flight == 2


def test_the_limiters_of_a_model_that_comes_are_made_by_the_plan(bench: RequestBench) -> None:
    plan = bench.controller.plan(bench.make_limiters, keep, caps=[caps(OTHER.provider_model, 1, chat=1)])
    assert plan.made == 0, "`keep` makes none"
    made: list[Scope] = []

    def remake(scope: Scope, cap: int | None, before: Before) -> list[Successor]:
        if not before:
            made.append(scope)
        return [*keep(scope, cap, before)] or [Successor("scripted", ScriptedLimiter(scope))]

    def never(scope: Scope, cap: int | None) -> Sequence[tuple[str, RequestLimiter]]:
        raise AssertionError("this is no time to make one")

    plan = bench.controller.plan(never, remake, caps=[caps(OTHER.provider_model, 1, chat=1)])
    assert made == [OTHER.provider, OTHER.provider_model, OTHER]
    bench.controller.carry_out(plan, 1.0)
    bench.lease(OTHER, 1.0)


def test_a_limiter_that_cannot_be_made_is_told_by_the_plan(bench: RequestBench) -> None:
    def remake(scope: Scope, cap: int | None, before: Before) -> list[Successor]:
        if scope == OTHER:
            raise ZeroDivisionError
        return keep(scope, cap, before)

    with pytest.raises(PluginError, match="making the limiter of q/n/chat raised ZeroDivisionError"):
        bench.controller.plan(bench.make_limiters, remake, caps=[caps(OTHER.provider_model, 1, chat=1)])


def test_who_waits_goes_by_the_caps_of_the_plan(bench: RequestBench) -> None:
    first = [bench.lease(), bench.lease()]
    waiters = [bench.wait() for _ in range(3)]
    effects = bench.controller.carry_out(bench.controller.plan(bench.make_limiters, caps=[caps(MODEL, 4)]), 1.0)
    assert effects.granted == waiters[:2]
    for lease in first:
        bench.controller.release(lease, SUCCESS, 2.0)
    bench.controller.check_invariants()


def test_caps_that_are_too_small_for_who_waits_are_told(bench: RequestBench) -> None:
    bench.lease()
    bench.lease()
    bench.wait(requests=2)
    told = bench.controller.too_large_for
    assert told([caps(MODEL, 2)]) == []
    assert [(domain, most) for _, domain, most in told([caps(MODEL, 1)])] == [(None, 2)]
    assert [(domain, most) for _, domain, most in told([caps(MODEL, 2, chat=1)])] == [("chat", 2)]


class WithoutLimit(ScriptedLimiter):
    def snapshot(self, now: float) -> LimiterSnapshot:
        return LimiterSnapshot()


def test_a_limit_that_comes_with_who_takes_over_is_told_by_leases(bench: RequestBench) -> None:
    def without(scope: Scope, cap: int | None) -> Sequence[tuple[str, RequestLimiter]]:
        return [("scripted", WithoutLimit(scope))]

    bench.controller.reconfigure(without, 0.0)
    assert bench.lease().limit_at_admission is None
    bench.controller.carry_out(bench.controller.plan(without, replace({})), 1.0)
    assert bench.lease(now=1.0).limit_at_admission == 1_000_000
