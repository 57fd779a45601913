"""Scenarios from TOML: what the file that comes with the package says, and how mistakes are reported."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from penstock import ConfigError
from penstock.testing import Bound, Latency, Ramp, Scenario, Tenant, TokenSizes, load_scenarios, scenarios_from


def read(text: str) -> Scenario:
    (scenario,) = scenarios_from(tomllib.loads(text), "mine.toml").values()
    return scenario


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        scenarios_from(tomllib.loads(text), "mine.toml")
    return str(raised.value).splitlines()


# -- the scenarios that come with the package


def test_the_package_brings_the_scenarios_of_both_editions_of_the_law() -> None:
    assert list(load_scenarios()) == [
        "concurrency-limit",
        "concurrency-limit-no-header",
        "rpm-with-headers",
        "rpm-blind",
        "tokens-per-minute",
        "capacity-changes",
        "outage",
        "silent-saturation",
        "cold-start",
        "three-tenants",
        "one-dead-of-two",
        "hangs",
        "slots-short",
        "slots-short-early",
        "slots-short-no-hint",
        "rate-short-blind",
        "rate-short-told",
        "rate-short-told-even",
        "tokens-short-told",
        "capacity-short",
        "quiet-start",
        "quiet-start-early",
        "latency-beside-aimd",
        "latency-beside-aimd-early",
        "rate-blind-few",
        "rate-blind-few-even",
        "outage-no-hint",
        "two-limits",
        "slots-long",
        "slots-long-no-hint",
        "capacity-long",
        "latency-beside-aimd-long",
        "quota-of-a-day",
        "one-too-large",
    ]


def test_each_of_them_must_reach_something() -> None:
    assert all(scenario.must for scenario in load_scenarios().values())


def test_defaults_hold_where_a_scenario_says_nothing() -> None:
    scenario = load_scenarios()["concurrency-limit"]

    assert (scenario.calls, scenario.caps) == (5000, {"provider": 64})
    limits = scenario.providers["provider"]
    assert (limits.latency, limits.refusal_latency, limits.slots) == (Latency(1.0, 0.5), 0.05, 20)
    assert scenario.must == (Bound("goodput", least=0.95), Bound("refused", most=0.02))


def test_a_ramp_a_pair_of_bounds_and_parameters_are_read() -> None:
    scenarios = load_scenarios()

    assert scenarios["cold-start"].providers["provider"].schedule == Ramp(2, 32, 120.0)
    assert Bound("in_flight", 15.0, 24.0) in scenarios["silent-saturation"].must
    assert scenarios["capacity-changes"].after_seconds == 60.0
    assert scenarios["outage"].must[1:] == (
        Bound("probes_per_cooldown", most=1.0),
        Bound("recovered", least=0.9),
        Bound("within_seconds", most=30.0),
    )


def test_ideals_are_seconds_or_follow_from_the_capacity_or_from_the_tokens() -> None:
    scenarios = load_scenarios()

    assert scenarios["rpm-blind"].ideal == 298.0
    assert scenarios["cold-start"].ideal == "capacity"
    assert scenarios["tokens-per-minute"].ideal_tokens_per_second == 10000.0
    assert scenarios["tokens-per-minute"].tokens == TokenSizes(2000, 1.0, (0.5, 2.0))


def test_tenants_bring_their_own_numbers_of_calls() -> None:
    scenario = load_scenarios()["three-tenants"]

    assert scenario.tenants["c"] == Tenant(5, 2500)
    assert scenario.calls == 23_500


def test_several_providers_have_caps_of_their_own_and_one_is_compared() -> None:
    scenario = load_scenarios()["one-dead-of-two"]

    assert scenario.caps == {"dead": 64, "well": 32}
    assert (scenario.compared, scenario.judged) == (("well",), ("well",))


# -- mistakes


def test_the_errors_of_a_file_are_reported_together_each_with_file_and_key() -> None:
    reported = problems(
        """
        defaults = { latencies = 1 }
        [one]
        provider = { slots = 0 }
        cal = 10
        must = { good_put = 0.9, refused = "2 %" }
        [two]
        provider = { slots = 4 }
        calls = 0
        """
    )

    assert reported == [
        "mine.toml: defaults.latencies: unknown key; did you mean 'latency'?",
        "mine.toml: one.cal: unknown key; did you mean 'calls'?",
        "mine.toml: one.provider.slots: must be a whole number from 1 on, not 0",
        "mine.toml: one.must.good_put: unknown key; did you mean 'goodput'?",
        'mine.toml: one.must.refused: must be a number or [least, most], not "2 %"',
        "mine.toml: two.calls: must be a whole number from 1 on, not 0",
    ]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("provider = 3", "s.provider: must be a table, not 3"),
        ("calls = 3", "s.provider: must be given: what the provider truly allows, as in { slots = 20 }"),
        (
            "provider = { slots = 1 }\nproviders = { a = { slots = 1 } }",
            "s.providers: cannot stand beside provider: name one provider, or several",
        ),
        ("provider = { slots = 1 }\ncaps = { other = 3 }", "s.caps.other: unknown key; known are provider"),
        ("provider = { slots = 1 }\nstack = 'latency'", "s.stack: must be a list (each: text)"),
        ("provider = { slots = 1 }\ntokens = { sigma = 1 }", "s.tokens.mean: is missing; it must be a number"),
        (
            "provider = { slots = 1 }\ntokens = { mean = 9, estimate_error = [2, 1] }",
            "s.tokens.estimate_error: must be [smallest, largest factor], both above 0, not [2.0, 1.0]",
        ),
        (
            "provider = { slots = 1 }\ntenants = { a = { weight = 0, calls = 1 } }",
            "s.tenants.a.weight: must be a number above 0, not 0.0",
        ),
        (
            "provider = { slots = 1 }\ntenants = { a = 3 }",
            "s.tenants.a: must be a table, not 3",
        ),
        ("provider = { hang_share = 0.1 }", "s.client_timeout: must be given"),
        ("provider = { slots = 1 }\nideal = 'soon'", "s.ideal: must be seconds, "),
        (
            "provider = { slots = 1 }\nideal = 'total true tokens / 10 per second'",
            "s.ideal: counts true tokens, so tokens must be given",
        ),
        ("provider = { slots = 1 }\nmust = { within = 0.1 }", "s.must.within: needs a provider with a schedule"),
        ("provider = { slots = 1 }\nmust = { share_error = 0.1 }", "s.must.share_error: needs tenants"),
        (
            "provider = { outage = [1, 2] }\nmust = { recovered = 0.9 }",
            "s.must.recovered: needs within_seconds beside it",
        ),
        (
            "provider = { slots = 1 }\nmust = { probes_per_cooldown = 1 }",
            "s.must.probes_per_cooldown: needs a provider with an outage",
        ),
        (
            "provider = { slots = 1 }\nmust = { well_against_alone = 1 }",
            "s.must.well_against_alone: needs several providers, and one that is called 'well'",
        ),
    ],
)
def test_a_mistake_is_reported_by_its_key_with_what_would_be_right(table: str, problem: str) -> None:
    (reported,) = problems(f"[s]\n{table}")

    assert reported.startswith(f"mine.toml: {problem}")


def test_a_file_without_a_scenario_is_no_file_of_scenarios() -> None:
    assert problems("") == ["mine.toml: there is no scenario in it: add a table [name] with provider and must"]


def test_a_file_that_is_not_there_and_one_that_is_no_toml_are_named(tmp_path: Path) -> None:
    absent, broken = tmp_path / "absent.toml", tmp_path / "broken.toml"
    broken.write_text("[one", encoding="utf-8")

    for file in (absent, broken):
        with pytest.raises(ConfigError) as caught:
            load_scenarios(file)
        assert [problem.source for problem in caught.value.records] == [str(file)]


def test_a_scenario_may_have_other_figures_than_the_defaults(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(
        "[s]\nprovider = { slots = 3 }\ncap = 8\nlatency = { mean = 2.0 }\nrefusal_latency = 0.5\n", encoding="utf-8"
    )

    scenario = load_scenarios(mine)["s"]

    limits = scenario.providers["provider"]
    assert (scenario.caps, scenario.calls) == ({"provider": 8}, 5000)
    assert (limits.latency, limits.refusal_latency) == (Latency(mean=2.0), 0.5)


# -- bounds


def test_a_bound_tells_by_how_much_it_is_missed() -> None:
    assert Bound("goodput", least=0.95).missed_by(0.9) == pytest.approx(0.05)
    assert Bound("refused", most=0.02).missed_by(0.01) == 0
    assert Bound("in_flight", 15, 24).missed_by(30) == 6


def test_the_worst_value_is_furthest_on_the_wrong_side_or_nearest_to_it() -> None:
    assert Bound("goodput", least=0.95).worst((0.99, 0.96, 0.97)) == 0.96
    assert Bound("refused", most=0.02).worst((0.0, 0.01)) == 0.01
    assert Bound("in_flight", 15, 24).worst((16.0, 22.0, 25.0)) == 25.0
