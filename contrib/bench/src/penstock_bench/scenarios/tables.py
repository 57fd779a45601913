"""The scenarios for people and for programs: two Markdown tables, CSV, and JSON.

Beside our figures stand, where they were asked for, those of the competitor and of the oracle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from penstock_bench.measuring.rows import COMPETITOR
from penstock_bench.reporting.tables import csv_text, json_text, markdown_table
from penstock_bench.scenarios.outcomes import BoundVerdict, ScenarioOutcome

__all__ = ["scenarios_csv", "scenarios_json", "scenarios_markdown"]

ORACLE = "oracle"
"""Heads the figures of a client that knows all limits from the start and obeys the same rules."""

GENERAL = (
    ("goodput", "goodput", min),
    ("429s ÷ calls", "refused", max),
    ("p50 wait, s", "p50_wait", max),
    ("p95 wait, s", "p95_wait", max),
    ("fairness", "fairness", min),
)
"""Heading, figure, and which of the seeds is the worst."""


def scenarios_markdown(outcomes: Sequence[ScenarioOutcome]) -> str:
    """First what every scenario has, then each bound; figures are those of the worst seed."""
    general = markdown_table(
        ("scenario", *(heading for heading, _, _ in GENERAL)),
        (line for outcome in outcomes for line in _general(outcome)),
    )
    others = _others(outcomes)
    head = ("scenario", "figure", "ours", "seed", "over all seeds", "must", "", *others)
    bounds = markdown_table(head, (line for outcome in outcomes for line in _bounds(outcome, others)))
    not_run = [f"- {outcome.not_run}" for outcome in outcomes if outcome.missing]
    return "\n\n".join([general, bounds, *(["\n".join(not_run)] if not_run else [])])


def _general(outcome: ScenarioOutcome) -> Iterator[Sequence[str]]:
    name = outcome.scenario.name
    if outcome.missing:
        yield name, *["not run"] * len(GENERAL)
    else:
        yield name, *(_shown(outcome.worst(figure, worse)) for _, figure, worse in GENERAL)
    if outcome.competitor:
        yield (
            f"{name}, {COMPETITOR}",
            *(_shown(outcome.worst_of_competitor(figure, worse)) for _, figure, worse in GENERAL),
        )


def _others(outcomes: Sequence[ScenarioOutcome]) -> list[str]:
    """Who else has figures in some scenario."""
    have = {
        COMPETITOR: any(outcome.competitor for outcome in outcomes),
        ORACLE: any(outcome.oracle for outcome in outcomes),
    }
    return [name for name, has in have.items() if has]


def _bounds(outcome: ScenarioOutcome, others: Sequence[str]) -> Iterator[Sequence[str]]:
    if outcome.missing:
        yield outcome.scenario.name, "", "", "", "", "", "NOT RUN", *[""] * len(others)
    for verdict in outcome.verdicts:
        spread = outcome.spread(verdict.bound.figure)
        yield (
            verdict.scenario,
            verdict.bound.figure,
            _shown(verdict.value),
            "" if verdict.seed is None else str(verdict.seed),
            "" if spread is None else f"{shown(spread[0])} to {shown(spread[1])}",
            verdict.bound.words,
            _word(verdict),
            *(_of_another(name, outcome, verdict) for name in others),
        )


def _of_another(name: str, outcome: ScenarioOutcome, verdict: BoundVerdict) -> str:
    worst = outcome.worst_of_competitor if name == COMPETITOR else outcome.worst_of_oracle
    return _shown(worst(verdict.bound.figure, lambda values: verdict.bound.worst(tuple(values))))


def _word(verdict: BoundVerdict) -> str:
    if verdict.value is None:
        return "NOT MEASURED"
    return "met" if verdict.met else "MISSED"


def _shown(value: float | None) -> str:
    return "" if value is None else shown(value)


def shown(value: float) -> str:
    """Whole numbers as they are, shares with four digits, seconds with one."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4g}"


def scenarios_json(facts: Mapping[str, object], outcomes: Sequence[ScenarioOutcome]) -> str:
    """Everything: the figures of each seed, and each bound with the worst of them."""
    scenarios = [
        {
            "scenario": outcome.scenario.name,
            "not_installed": list(outcome.missing),
            "seeds": [{"seed": result.seed, **result.figures} for result in outcome.results],
            "peer": [{"seed": result.seed, **result.figures} for result in outcome.competitor],
            "oracle": [{"seed": result.seed, **result.figures} for result in outcome.oracle],
            "must": [
                {
                    "figure": verdict.bound.figure,
                    "least": verdict.bound.least,
                    "most": verdict.bound.most,
                    "worst": verdict.value,
                    "seed": verdict.seed,
                    "met": verdict.met,
                }
                for verdict in outcome.verdicts
            ],
        }
        for outcome in outcomes
    ]
    return json_text({**facts, "scenarios": scenarios})


def scenarios_csv(outcomes: Sequence[ScenarioOutcome]) -> str:
    """A line per scenario, side, seed and figure; where the figure has a bound, whether it is met."""
    head = ("scenario", "who", "seed", "figure", "value", "must", "met")
    return csv_text(head, (line for outcome in outcomes for line in _lines(outcome)))


def _lines(outcome: ScenarioOutcome) -> Iterator[Sequence[object]]:
    for who, results in (("ours", outcome.results), (COMPETITOR, outcome.competitor), (ORACLE, outcome.oracle)):
        for result in results:
            for figure, value in result.figures.items():
                bound = outcome.scenario.bound(figure)
                must = ("", "") if bound is None else (bound.words, bound.missed_by(value) == 0)
                yield outcome.scenario.name, who, result.seed, figure, value, *must
