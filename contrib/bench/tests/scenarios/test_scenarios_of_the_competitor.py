"""Scenarios through the competitor's gate: what it is asked, and what is made of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from penstock import structure
from penstock.testing import ProviderLimits, Scenario, load_scenarios
from penstock_bench.scenarios.competitor import can_run, competitor_result

SCENARIOS = load_scenarios()


class FabricatedCompetitor:
    """Answers every scenario with the same log."""

    def __init__(self, complete: bool = True, **result: list[Any]) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self._answer = {"units": 0, "seconds": 0.0, "complete": complete, "result": result}

    def ask(self, cell: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        assert cell == "scenario"
        self.asked.append(parameters)
        return self._answer


def two_calls() -> Scenario:
    limits = ProviderLimits(slots=1)
    return Scenario(name="s", providers={"provider": limits}, caps={"provider": 4}, calls=2, ideal=2.0)


@pytest.mark.parametrize("name", [name for name, scenario in SCENARIOS.items() if can_run(scenario)])
def test_the_competitor_is_given_the_same_limits(name: str) -> None:
    competitor = FabricatedCompetitor(sent=[], back=[], done=[])

    competitor_result(competitor, SCENARIOS[name], 0)

    limits: ProviderLimits = structure(competitor.asked[0]["limits"], ProviderLimits)
    given = SCENARIOS[name].providers["provider"]
    assert limits.steps == given.steps
    assert (limits.latency, limits.rpm, limits.outage, limits.headers) == (
        given.latency,
        given.rpm,
        given.outage,
        given.headers,
    )
    assert len(competitor.asked[0]["tokens"]) == SCENARIOS[name].calls


def test_several_providers_and_tenants_are_not_for_the_competitor() -> None:
    cannot = {name for name, scenario in SCENARIOS.items() if not can_run(scenario)}

    assert cannot == {"three-tenants", "one-dead-of-two"}


def test_figures_are_taken_from_the_competitors_log_in_the_same_way() -> None:
    competitor = FabricatedCompetitor(sent=[0.0, 0.0, 1.05], back=[[0.05, True]], done=[[0.0, 1.0], [1.05, 2.5]])

    result = competitor_result(competitor, two_calls(), 7)

    assert result is not None
    assert (result.scenario, result.seed) == ("s", 7)
    assert (result.figures["goodput"], result.figures["refused"]) == (0.8, 0.5)
    assert "limit_falls" not in result.figures


def test_a_run_that_was_cut_has_no_figures() -> None:
    assert competitor_result(FabricatedCompetitor(complete=False), two_calls(), 0) is None
