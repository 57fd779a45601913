"""Scenarios through the whole request gate, with the plugins of the default stack, in virtual time."""

from __future__ import annotations

import tomllib

import pytest

from penstock import ConfigError
from penstock.testing import Scenario, run_scenario, scenarios_from


def scenario(text: str) -> Scenario:
    (found,) = scenarios_from(tomllib.loads(f"[small]\n{text}")).values()
    return found


FEW = scenario("provider = { slots = 4, retry_after = 1.0 }\ncap = 16\ncalls = 200\nideal = 50.0")


def test_a_run_gives_the_figures_of_every_scenario() -> None:
    figures = run_scenario(FEW, 0).figures

    assert 0.7 < figures["goodput"] < 1.1
    assert 0 < figures["refused"] < 0.1
    assert 0 < figures["p50_wait"] < figures["p95_wait"] < 80
    assert figures["lost"] == figures["leases_left"] == 0
    assert figures["limit_falls"] >= 1


def test_a_seed_gives_the_same_run_again_and_another_seed_another() -> None:
    assert run_scenario(FEW, 3) == run_scenario(FEW, 3)
    assert run_scenario(FEW, 3).figures != run_scenario(FEW, 4).figures


def test_a_limit_that_is_known_beforehand_is_never_refused() -> None:
    known = scenario("provider = { slots = 4 }\ncap = 4\ncalls = 200\nideal = 50.0")

    assert run_scenario(known, 0, {"request_limiters": ["cooldown"]}).figures["refused"] == 0


def test_without_adaptation_the_same_provider_refuses_many() -> None:
    adaptive, fixed = run_scenario(FEW, 0), run_scenario(FEW, 0, {"request_limiters": ["cooldown"]})

    assert fixed.figures["refused"] > 10 * adaptive.figures["refused"]


def test_a_provider_of_four_slots_is_not_taken_for_one_of_three() -> None:
    """A limit that grows lets two calls go at one moment, and either may be the one that is refused."""
    figures = [run_scenario(FEW, seed).figures for seed in range(3)]

    assert min(each["goodput"] for each in figures) > 0.8


def test_an_outage_costs_a_probe_at_a_time_and_no_call() -> None:
    out = scenario(
        "provider = { slots = 4, outage = [10, 60], retry_after = 2.0 }\ncap = 16\ncalls = 400\n"
        "must = { recovered = 0.9, within_seconds = 30 }"
    )

    figures = run_scenario(out, 0).figures

    assert (figures["lost"], figures["probes_per_cooldown"]) == (0, 1)
    assert figures["within_seconds"] < 15


def test_hanging_calls_are_made_again_and_lower_no_limit() -> None:
    hanging = scenario("provider = { slots = 4, hang_share = 0.2 }\nclient_timeout = 5.0\ncap = 4\ncalls = 100")

    figures = run_scenario(hanging, 0).figures

    assert (figures["lost"], figures["leases_left"], figures["limit_falls"]) == (0, 0, 0)
    assert figures["refused"] == 0


def test_tenants_share_by_weight() -> None:
    shared = scenario(
        "provider = { slots = 4 }\ncap = 4\n"
        "tenants = { a = { weight = 1, calls = 200 }, b = { weight = 3, calls = 150 } }"
    )

    figures = run_scenario(shared, 0).figures

    assert figures["share_error"] < 0.06
    assert figures["fairness"] > 0.99


def test_a_dead_provider_costs_its_neighbour_nothing() -> None:
    both = scenario(
        "providers = { dead = { outage = [0, 100000], retry_after = 30.0 }, well = { slots = 4, retry_after = 1.0 } }\n"
        "cap = 16\ncalls = 100\nmust = { well_against_alone = 0.99 }"
    )

    assert run_scenario(both, 0).figures["well_against_alone"] == pytest.approx(1.0, abs=0.01)


def test_a_silent_queue_is_seen_in_latency_and_in_what_is_in_flight() -> None:
    silent = scenario("provider = { slots = 4, queue = true }\ncap = 16\ncalls = 200")

    figures = run_scenario(silent, 0).figures

    assert figures["in_flight"] > 15
    assert figures["p95_latency_ratio"] > 2


def test_tokens_are_estimated_by_the_client_and_charged_as_they_are() -> None:
    by_tokens = scenario(
        "provider = { tpm = 600000, tpm_burst = 20000, retry_after = 'until-next' }\ncap = 16\ncalls = 50\n"
        "tokens = { mean = 2000, sigma = 1.0, estimate_error = [0.5, 2.0] }\n"
        "ideal = 'total true tokens / 10000 per second'"
    )

    figures = run_scenario(by_tokens, 0).figures

    assert figures["lost"] == 0
    assert figures["goodput"] > 0.3


def test_a_plugin_that_is_not_installed_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        run_scenario(scenario("provider = { slots = 4 }\nstack = ['absent-plugin']"), 0)
    (line,) = caught.value.problems
    assert line.startswith("small: stack names absent-plugin, which is not installed")
