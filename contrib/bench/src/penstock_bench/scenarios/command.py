"""What `penstock bench scenarios` does, from its options to the exit code.

A run is a function of scenario and seed, in virtual time, so runs are spread over processes, and the figures are the
same on any machine.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Final

import attrs

from penstock import ConfigError, did_you_mean
from penstock.testing import Scenario, ScenarioResult, load_scenarios, missing_plugins, run_scenario
from penstock_bench.competitor.client import competitor_process
from penstock_bench.reporting.console import ExitCode, announce, verdict_of
from penstock_bench.reporting.evidence import Gate, evidence
from penstock_bench.reporting.tables import publish
from penstock_bench.scenarios.competitor import can_run, competitor_result
from penstock_bench.scenarios.oracle import is_for_oracle, oracle_result
from penstock_bench.scenarios.outcomes import ScenarioOutcome
from penstock_bench.scenarios.tables import scenarios_csv, scenarios_json, scenarios_markdown

__all__ = ["ScenarioOptions", "scenarios_command", "seeds_from"]

COMPETITOR_SECONDS: Final = 120.0
"""After so long a run of the competitor's is cut."""
_Run = Callable[[Scenario, int], ScenarioResult]
_Results = dict[str, list[ScenarioResult]]
_SEEDS: Final = re.compile(r"(\d+)(?:-(\d+))?")


@attrs.frozen(kw_only=True)
class ScenarioOptions:
    """What was asked for. `jobs`: processes; `None`: one for each core. A `peer_cache` asks for the competitor too.

    `with_oracle`: beside the best that is to be had (`oracle.py`).
    """

    seeds: str = "0-9"
    scenario: tuple[str, ...] = ()
    file: Path | None = None
    check: bool = False
    out: Path | None = None
    jobs: int | None = None
    with_peer: bool = False
    peer_cache: Path | None = None
    with_oracle: bool = False


def scenarios_command(options: ScenarioOptions) -> ExitCode:
    """The exit code, after the scenarios have been run and reported. Raises `ConfigError`, `CompetitorUnavailable`."""
    seeds = seeds_from(options.seeds)
    scenarios = _chosen(load_scenarios(options.file), options.scenario)
    with_competitor = options.with_peer or options.peer_cache is not None
    theirs = _of_competitor(scenarios, seeds, options) if with_competitor else {}
    jobs = options.jobs or os.cpu_count() or 1
    known = filter(is_for_oracle, scenarios) if options.with_oracle else ()
    oracle = _by_scenario(oracle_result, [(one, seed) for one in known for seed in seeds], jobs)
    outcomes = [
        attrs.evolve(
            outcome, competitor=theirs.get(outcome.scenario.name, ()), oracle=oracle.get(outcome.scenario.name, ())
        )
        for outcome in _run(scenarios, seeds, jobs)
    ]
    facts = {
        "bench": "scenarios",
        "file": None if options.file is None else options.file.name,
        "seeds": seeds,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("penstock-core", "trio")},
    }
    publish(
        "scenarios",
        f"penstock bench scenarios: seeds {options.seeds}, the worst of them counts; virtual time",
        scenarios_markdown(outcomes),
        json=scenarios_json({**facts, "evidence": _evidence(seeds, outcomes)}, outcomes),
        csv=scenarios_csv(outcomes),
        out=options.out,
    )
    return _check(outcomes) if options.check else ExitCode.REACHED


def seeds_from(text: str) -> list[int]:
    """The seeds that `0-9`, `3` or `0-4,300-319` name, each once, in order. Raises `ConfigError`."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        found = _SEEDS.fullmatch(part.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if first > last:
            raise ConfigError(f"--seeds: must read like 0-9 or 3,5,300-319, not {text!r}")
        seeds |= dict.fromkeys(range(first, last + 1))
    return list(seeds)


def _chosen(scenarios: Mapping[str, Scenario], names: Sequence[str]) -> list[Scenario]:
    for name in names:
        if name not in scenarios:
            hint = did_you_mean(name, scenarios, otherwise="there are")
            raise ConfigError(f"--scenario: there is no scenario {name!r}; {hint}")
    return [scenario for name, scenario in scenarios.items() if not names or name in names]


def _run(scenarios: Sequence[Scenario], seeds: Sequence[int], jobs: int) -> list[ScenarioOutcome]:
    missing = {scenario.name: missing_plugins(scenario) for scenario in scenarios}
    runs = [(scenario, seed) for scenario in scenarios if not missing[scenario.name] for seed in seeds]
    results = _by_scenario(run_scenario, runs, jobs, said="seeds done")
    outcomes = [ScenarioOutcome(one, results.get(one.name, ()), missing[one.name]) for one in scenarios]
    for outcome in outcomes:
        if outcome.missing:
            announce(f"NOT RUN: {outcome.not_run}")
    return outcomes


def _of_competitor(
    scenarios: Sequence[Scenario], seeds: Sequence[int], options: ScenarioOptions
) -> dict[str, list[ScenarioResult]]:
    """The competitor's results by scenario, of those that it can run."""
    found: dict[str, list[ScenarioResult]] = {}
    with competitor_process(options.peer_cache, COMPETITOR_SECONDS, announce) as competitor:
        for scenario in filter(can_run, scenarios):
            results = (competitor_result(competitor, scenario, seed) for seed in seeds)
            found[scenario.name] = [result for result in results if result is not None]
            announce(f"{scenario.name}: {len(found[scenario.name])} seeds of {competitor.name}'s done")
    return found


def _by_scenario(run: _Run, runs: Sequence[tuple[Scenario, int]], jobs: int, said: str = "") -> _Results:
    """The results by the scenario's name; each scenario whose last has come is announced, if something is `said`."""
    results: _Results = {}
    wanted = Counter(scenario.name for scenario, _ in runs)
    for result in _results(run, runs, min(jobs, len(runs))):
        done = results.setdefault(result.scenario, [])
        done.append(result)
        if said and len(done) == wanted[result.scenario]:
            announce(f"{result.scenario}: {len(done)} {said}")
    return results


def _results(run: _Run, runs: Sequence[tuple[Scenario, int]], jobs: int) -> Iterator[ScenarioResult]:
    if jobs <= 1:
        yield from (run(scenario, seed) for scenario, seed in runs)
        return
    # A fresh interpreter for each process: a fork of one that has threads may lock up.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(run, scenario, seed) for scenario, seed in runs]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def _evidence(seeds: Sequence[int], outcomes: Sequence[ScenarioOutcome]) -> Mapping[str, object]:
    gates = [
        Gate(
            name=f"{verdict.scenario}: {verdict.bound.figure}",
            bound=verdict.bound.words,
            value=verdict.value,
            passed=verdict.met,
            missing_reason=None if verdict.value is not None else f"it was not measured with seed {verdict.seed}",
        )
        for outcome in outcomes
        for verdict in outcome.verdicts
    ]
    gates += [
        Gate(name=outcome.scenario.name, bound="is run", value=None, passed=False, missing_reason=outcome.not_run)
        for outcome in outcomes
        if outcome.missing
    ]
    plans = {
        outcome.scenario.name: plan
        for outcome in outcomes
        for plan in [result.capacity for result in outcome.results][:1]
        if plan is not None
    }
    return evidence("scenarios", gates, plans, seeds=seeds, shortened=False)


def _check(outcomes: Sequence[ScenarioOutcome]) -> ExitCode:
    verdicts = (verdict for outcome in outcomes for verdict in outcome.verdicts)
    code = verdict_of(verdict.words for verdict in verdicts if not verdict.met)
    return ExitCode.MISSED if any(outcome.missing for outcome in outcomes) else code
