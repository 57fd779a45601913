"""What a log comes to: each figure from a run that is written down call by call."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.testing import Bound, Latency, ProviderLimits, RunLog, Scenario, Tenant, figures_of, ideal_seconds

ONE_SECOND = Latency(1.0, 0.0)


def scenario(calls: int = 10, *, provider: ProviderLimits | None = None, **parts: Any) -> Scenario:
    limits = ProviderLimits(slots=1, latency=ONE_SECOND) if provider is None else provider
    return Scenario(name="s", providers={"provider": limits}, caps={"provider": 64}, calls=calls, **parts)


def steady_log(calls: int, *, latency: float = 1.0, every: float = 1.0, begin: float = 0.0) -> RunLog:
    """Calls that go out one after the other, `every` so many seconds."""
    log = RunLog(waiting={"provider": calls})
    for number in range(calls):
        sent_at = begin + number * every
        log.goes_out("provider", "provider", sent_at)
        log.succeeds("provider", "provider", sent_at, sent_at + latency)
    return log


def test_goodput_is_the_ideal_over_the_time_to_the_last_success() -> None:
    figures = figures_of(scenario(ideal=9.0), steady_log(10))

    assert figures["goodput"] == pytest.approx(0.9)
    assert figures["lost"] == 0


def test_with_calls_lost_there_is_no_goodput() -> None:
    figures = figures_of(scenario(), steady_log(9))

    assert "goodput" not in figures
    assert figures["lost"] == 1


def test_waits_are_from_the_start_to_the_moment_at_which_a_call_goes_out() -> None:
    figures = figures_of(scenario(calls=100), steady_log(100))

    assert (figures["p50_wait"], figures["p95_wait"]) == (49.0, 94.0)


def share_of_refusals(*, after: float, refused: bool) -> float:
    """Of ten calls that succeed and one that comes back without an answer."""
    log = steady_log(10)
    log.waiting["provider"] = 1
    log.goes_out("provider", "provider", 10.0)
    log.comes_back("provider", "provider", 10.0 + after, refused=refused)
    return figures_of(scenario(), log)["refused"]


def test_refusals_are_a_share_of_the_calls() -> None:
    assert share_of_refusals(after=0.05, refused=True) == 0.1


def test_a_call_that_was_given_up_is_no_refusal() -> None:
    assert share_of_refusals(after=5.0, refused=False) == 0


def test_within_is_the_largest_shortfall_after_the_settling_time_of_each_change() -> None:
    limits = ProviderLimits(schedule=((0.0, 1), (50.0, 2)), latency=ONE_SECOND)
    log = steady_log(50)
    for number in range(90):  # 1.8 calls a second of two
        log.waiting["provider"] = 1
        log.goes_out("provider", "provider", 50 + number / 1.8)
        log.succeeds("provider", "provider", 50 + number / 1.8, 51 + number / 1.8)

    figures = figures_of(scenario(calls=140, provider=limits, after_seconds=20.0), log)

    assert figures["within"] == pytest.approx(0.1, abs=0.02)


def test_without_a_window_that_is_long_enough_within_is_not_measured() -> None:
    limits = ProviderLimits(schedule=((0.0, 1), (50.0, 2)), latency=ONE_SECOND)

    assert "within" not in figures_of(scenario(provider=limits, after_seconds=60.0), steady_log(10))


def outage_log(probes_at: list[float]) -> RunLog:
    """An outage from 10 to 100: what is out at 10 is refused, then the probes, then one call a second."""
    log = steady_log(10)
    log.waiting["provider"] = 1000
    for sent_at in [10.0, *probes_at]:
        log.goes_out("provider", "provider", sent_at)
        log.comes_back("provider", "provider", sent_at + 0.05, refused=True)
    for number in range(100):
        log.goes_out("provider", "provider", 104.0 + number)
        log.succeeds("provider", "provider", 104.0 + number, 105.0 + number)
    return log


def out_of_order(**parts: Any) -> Scenario:
    limits = ProviderLimits(slots=1, latency=ONE_SECOND, outage=(10.0, 100.0))
    must = (Bound("recovered", least=0.9), Bound("within_seconds", most=30.0))
    return scenario(calls=110, provider=limits, must=must, **parts)


def test_probes_are_counted_between_one_refusal_and_the_next() -> None:
    once = figures_of(out_of_order(), outage_log([20.0, 30.0, 60.0]))
    twice = figures_of(out_of_order(), outage_log([20.0, 30.0, 30.0, 60.0]))

    assert once["probes_per_cooldown"] == 1
    assert twice["probes_per_cooldown"] == 2


def test_recovery_is_reported_by_its_moment_and_by_what_comes_after() -> None:
    figures = figures_of(out_of_order(), outage_log([20.0]))

    assert figures["within_seconds"] == 5.0
    assert figures["recovered"] == pytest.approx(1.0, abs=0.02)


def test_who_never_recovers_has_no_moment_of_recovery() -> None:
    log = outage_log([20.0])
    log.done = log.done[::2]

    figures = figures_of(out_of_order(), log)

    assert "within_seconds" not in figures
    assert figures["recovered"] == pytest.approx(0.5, abs=0.02)


def tenants_log(served: dict[str, int]) -> RunLog:
    log = RunLog(waiting={name: count + 1 for name, count in served.items()})
    for name, count in served.items():
        for _ in range(count):
            log.goes_out("provider", name, 1.0)
            log.succeeds("provider", name, 1.0, 2.0)
    first = next(iter(served))
    log.goes_out("provider", first, 5.0)
    log.succeeds("provider", first, 5.0, 6.0)
    for name in served:  # when one has no call waiting, what the others get is no matter of shares
        log.waiting[name] += 50
        for _ in range(50):
            log.goes_out("provider", name, 7.0)
            log.succeeds("provider", name, 7.0, 8.0)
    return log


def test_shares_are_those_while_all_are_backlogged_and_the_error_is_relative() -> None:
    of_two = scenario(calls=504, tenants={"a": Tenant(1, 100), "b": Tenant(3, 304)})

    fair, unfair = (
        figures_of(of_two, tenants_log({"a": 100, "b": 300})),
        figures_of(of_two, tenants_log({"a": 90, "b": 310})),
    )

    assert (fair["share_error"], fair["fairness"]) == (0.0, 1.0)
    assert unfair["share_error"] == pytest.approx(0.1)
    assert unfair["fairness"] < 1


def test_a_tenant_whose_call_has_come_back_is_still_backlogged() -> None:
    log = RunLog(waiting={"a": 2})

    log.goes_out("provider", "a", 1.0)
    log.comes_back("provider", "a", 1.5, refused=True)
    log.goes_out("provider", "a", 2.0)
    log.goes_out("provider", "a", 3.0)

    assert log.first_idle_at == 3.0


def test_in_flight_is_the_mean_while_calls_go_out() -> None:
    assert figures_of(scenario(), steady_log(10, every=2.0))["in_flight"] == pytest.approx(0.5)


def test_latency_is_held_against_that_of_a_provider_without_a_queue() -> None:
    assert figures_of(scenario(), steady_log(10, latency=1.5))["p95_latency_ratio"] == pytest.approx(1.5)


# -- the ideal


def test_the_capacity_tells_how_long_the_calls_take_at_best() -> None:
    limits = ProviderLimits(slots=4, latency=ONE_SECOND, outage=(10.0, 20.0))

    assert ideal_seconds(scenario(provider=limits), "provider", 80, 0) == pytest.approx(30.0, abs=0.01)


def test_places_that_hanging_calls_hold_are_part_of_the_ideal() -> None:
    limits = ProviderLimits(slots=4, latency=ONE_SECOND, hang_share=0.2)

    hanging = scenario(provider=limits, client_timeout=5.0)

    assert ideal_seconds(hanging, "provider", 80, 0) == pytest.approx(80 * (1 + 0.25 * 5) / 4, abs=0.01)


def test_tokens_at_their_rate_are_the_ideal_if_that_is_said() -> None:
    assert ideal_seconds(scenario(ideal_tokens_per_second=100.0), "provider", 10, 5000) == 50.0


def test_what_nothing_limits_and_what_never_answers_has_no_ideal() -> None:
    endless = ProviderLimits(latency=ONE_SECOND)
    dead = ProviderLimits(outage=(0.0, 1e12))

    assert ideal_seconds(scenario(provider=endless), "provider", 10, 0) == float("inf")
    assert ideal_seconds(scenario(provider=dead), "provider", 10, 0) == float("inf")
