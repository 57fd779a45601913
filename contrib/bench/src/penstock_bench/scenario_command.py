"""What `penstock bench scenarios` does, from its options to the exit code.

A run is a function of scenario and seed, in virtual time, so runs are spread over processes, and the figures are the
same on any machine.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import Final

import attrs
import click

from penstock import ConfigError
from penstock.testing import Scenario, ScenarioResult, load_scenarios, missing_plugins, run_scenario
from penstock_bench.peer_client import PeerProcess
from penstock_bench.peer_environment import PeerUnavailable, cache_folder, peer_python
from penstock_bench.scenario_outcomes import ScenarioOutcome
from penstock_bench.scenario_peer import can_run, peer_result
from penstock_bench.scenario_tables import scenarios_markdown, write_scenarios

__all__ = ["ScenarioOptions", "scenarios_command", "seeds_from"]

REACHED: Final = 0
MISSED: Final = 1
NO_PEER: Final = 3
PEER_SECONDS: Final = 120.0
"""After so long a run of the peer's is cut."""
_SEEDS: Final = re.compile(r"(\d+)(?:-(\d+))?")


@attrs.frozen(kw_only=True)
class ScenarioOptions:
    """What was asked for. `jobs`: processes; `None`: one for each core. A `peer_cache` asks for the peer too."""

    seeds: str = "0-9"
    scenario: tuple[str, ...] = ()
    file: Path | None = None
    check: bool = False
    out: Path | None = None
    jobs: int | None = None
    with_peer: bool = False
    peer_cache: Path | None = None


def scenarios_command(options: ScenarioOptions) -> int:
    """Run, tell, and check if asked to. Returns the exit code; raises `ConfigError`."""
    seeds = seeds_from(options.seeds)
    scenarios = _chosen(load_scenarios(options.file), options.scenario)
    try:
        theirs = _peer(scenarios, seeds, options) if options.with_peer or options.peer_cache is not None else {}
    except PeerUnavailable as error:
        click.echo(f"penstock: {error}", err=True)
        return NO_PEER
    outcomes = [
        attrs.evolve(outcome, peer=theirs.get(outcome.scenario.name, ()))
        for outcome in _run(scenarios, seeds, options.jobs or os.cpu_count() or 1)
    ]
    facts = {
        "bench": "scenarios",
        "file": None if options.file is None else options.file.name,
        "seeds": seeds,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("penstock-core", "trio")},
    }
    click.echo(f"penstock bench scenarios: seeds {options.seeds}, the worst of them counts; virtual time\n")
    click.echo(scenarios_markdown(outcomes))
    if options.out is not None:
        try:
            write_scenarios(options.out, facts, outcomes)
        except OSError as error:
            raise ConfigError(f"--out: cannot write to {options.out}: {error.strerror}") from None
    return _check(outcomes) if options.check else REACHED


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
            near = get_close_matches(name, scenarios, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(scenarios)}"
            raise ConfigError(f"--scenario: there is no scenario {name!r}; {hint}")
    return [scenario for name, scenario in scenarios.items() if not names or name in names]


def _run(scenarios: Sequence[Scenario], seeds: Sequence[int], jobs: int) -> list[ScenarioOutcome]:
    missing = {scenario.name: missing_plugins(scenario) for scenario in scenarios}
    runs = [(scenario, seed) for scenario in scenarios if not missing[scenario.name] for seed in seeds]
    results: dict[str, list[ScenarioResult]] = {}
    for result in _results(runs, min(jobs, len(runs))):
        done = results.setdefault(result.scenario, [])
        done.append(result)
        if len(done) == len(seeds):
            click.echo(f"{result.scenario}: {len(seeds)} seeds done", err=True)
    outcomes = [ScenarioOutcome(one, results.get(one.name, ()), missing[one.name]) for one in scenarios]
    for outcome in outcomes:
        if outcome.missing:
            click.echo(f"NOT RUN: {outcome.not_run}", err=True)
    return outcomes


def _peer(
    scenarios: Sequence[Scenario], seeds: Sequence[int], options: ScenarioOptions
) -> dict[str, list[ScenarioResult]]:
    """The peer's results by scenario, of those that it can run."""
    cache = cache_folder() if options.peer_cache is None else options.peer_cache
    python = peer_python(cache, lambda line: click.echo(line, err=True))
    found: dict[str, list[ScenarioResult]] = {}
    with PeerProcess(python, PEER_SECONDS, cache / "peer.log") as peer:
        for scenario in filter(can_run, scenarios):
            results = (peer_result(peer, scenario, seed) for seed in seeds)
            found[scenario.name] = [result for result in results if result is not None]
            click.echo(f"{scenario.name}: {len(found[scenario.name])} seeds of the peer's done", err=True)
    return found


def _results(runs: Iterable[tuple[Scenario, int]], jobs: int) -> Iterator[ScenarioResult]:
    if jobs <= 1:
        yield from (run_scenario(scenario, seed) for scenario, seed in runs)
        return
    # A fresh interpreter for each process: a fork of one that has threads may lock up.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(run_scenario, scenario, seed) for scenario, seed in runs]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def _check(outcomes: Sequence[ScenarioOutcome]) -> int:
    missed = [verdict for outcome in outcomes for verdict in outcome.verdicts if not verdict.met]
    for verdict in missed:
        click.echo(f"missed: {verdict.words}", err=True)
    return MISSED if missed or any(outcome.missing for outcome in outcomes) else REACHED
