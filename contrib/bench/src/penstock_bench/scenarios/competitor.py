"""The scenarios that the competitor can run, through its request admission, with the same provider and the same seeds.

Those with one provider and without tenants. The competitor has no plugins, so the stack of a scenario is left out.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import attrs

from penstock.testing import (
    Latency,
    ProviderLimits,
    Ramp,
    RunLog,
    Scenario,
    ScenarioResult,
    figures_of,
    ideal_seconds,
)

__all__ = ["can_run", "competitor_result"]

EXTRA_SECONDS = 600.0
"""Seconds beyond ten times the ideal, after which a run is broken off."""


class _Answers(Protocol):
    def ask(self, cell: str, parameters: Mapping[str, Any]) -> dict[str, Any]: ...


def can_run(scenario: Scenario) -> bool:
    """Whether the competitor has what the scenario is about."""
    return len(scenario.providers) == 1 and not scenario.tenants


def competitor_result(competitor: _Answers, scenario: Scenario, seed: int) -> ScenarioResult | None:
    """The competitor's figures; `None` if the time for it was up. Raises `CompetitorUnavailable`."""
    ((name, limits),) = scenario.providers.items()
    sizes = random.Random(f"{seed}/tokens of {name}")
    tokens = [0 if scenario.tokens is None else scenario.tokens.draw(sizes)[1] for _ in range(scenario.calls)]
    answer = competitor.ask(
        "scenario",
        {
            "limits": _table(limits),
            "cap": scenario.caps[name],
            "seed": seed,
            "tokens": tokens,
            "client_timeout": scenario.client_timeout,
            "until": EXTRA_SECONDS + 10 * ideal_seconds(scenario, name, scenario.calls, sum(tokens)),
        },
    )
    if not answer["complete"]:
        return None
    log = _log(name, scenario.calls, **answer["result"])
    log.true_tokens = sum(tokens)
    figures = figures_of(scenario, log)
    return ScenarioResult(scenario.name, seed, {k: v for k, v in figures.items() if k not in _OF_OURS})


_OF_OURS = ("limit_falls", "leases_left")
"""Figures that the competitor does not have."""


def _log(
    name: str,
    calls: int,
    sent: Sequence[float],
    back: Sequence[tuple[float, bool]],
    done: Sequence[tuple[float, float]],
) -> RunLog:
    """What happened, in order; of one moment first what came back, since that is why others could go."""
    events: list[tuple[float, int, Any]] = [
        *((at, 0, refused) for at, refused in back),
        *((at, 1, sent_at) for sent_at, at in done),
        *((at, 2, None) for at in sent),
    ]
    log = RunLog(waiting={name: calls})
    for at, kind, fact in sorted(events, key=lambda event: event[:2]):
        if kind == 0:
            log.comes_back(name, name, at, refused=fact)
        elif kind == 1:
            log.succeeds(name, name, fact, at)
        else:
            log.goes_out(name, name, at)
    return log


def _table(limits: ProviderLimits) -> dict[str, Any]:
    """The limits as a TOML file would have them, a ramp as its steps."""
    table: dict[str, Any] = {}
    for field in attrs.fields(ProviderLimits):
        value = getattr(limits, field.name)
        if not field.init or value is None:
            continue
        if isinstance(value, Latency):
            value = {"mean": value.mean, "sigma": value.sigma}
        elif isinstance(value, Ramp):
            value = value.steps()
        if isinstance(value, tuple):
            value = [list(step) if isinstance(step, tuple) else step for step in value]
        table[field.name] = value
    return table
