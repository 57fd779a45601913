"""What the benches of rows do (dispatch, tasks, requests, worker and batch), from their options to the exit code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import attrs

from penstock_bench.batch.rows import batch_rows
from penstock_bench.competitor.client import competitor_process
from penstock_bench.dispatch.rows import dispatch_rows
from penstock_bench.measuring.machine import compiled, facts as facts_of, headline
from penstock_bench.measuring.records import Outcome
from penstock_bench.measuring.rounds import run_rounds
from penstock_bench.measuring.rows import Competitor, Local, Row
from penstock_bench.measuring.sizes import FULL, QUICK, Sizes
from penstock_bench.reporting.console import ExitCode, announce, rows_named, verdict_of
from penstock_bench.reporting.evidence import Gate, evidence
from penstock_bench.reporting.outcomes import as_csv, as_json, as_markdown
from penstock_bench.reporting.tables import publish
from penstock_bench.reporting.targets import Target, Verdict, judge, load_targets
from penstock_bench.requests.rows import requests_rows
from penstock_bench.tasks.rows import tasks_rows
from penstock_bench.worker.rows import worker_rows

__all__ = ["BENCHES", "Options", "bench_command", "measure_rows", "report"]

SEED: Final = 0
"""Of every random choice in the rows."""

BENCHES: Final[Mapping[str, Callable[[Sizes], list[Row]]]] = {
    "dispatch": dispatch_rows,
    "tasks": tasks_rows,
    "requests": requests_rows,
    "worker": worker_rows,
    "batch": batch_rows,
}


@attrs.frozen(kw_only=True)
class Options:
    """What was asked for."""

    rounds: int = 5
    quick: bool = False
    check: bool = False
    out: Path | None = None
    without_peer: bool = False
    peer_cache: Path | None = None
    only: tuple[str, ...] = ()


def bench_command(bench: str, options: Options) -> ExitCode:
    """The exit code of a bench, which prints its table. Raises `ConfigError`, `CompetitorUnavailable`."""
    sizes = QUICK if options.quick else FULL
    return measure_rows(bench, BENCHES[bench](sizes), load_targets(), options, sizes.competitor_cap)


def measure_rows(
    bench: str, rows: Sequence[Row], targets: Sequence[Target], options: Options, competitor_cap: float
) -> ExitCode:
    """The exit code, after these rows have been measured and reported. Raises as `bench_command`."""
    if options.without_peer:
        rows = [row for row in rows if not (isinstance(row.other, Local) and row.other.environment)]
    chosen = rows_named(rows, options.only)
    needed = not options.without_peer and any(isinstance(row.other, Competitor) for row in chosen)
    beside = competitor_process(options.peer_cache, competitor_cap, announce) if needed else nullcontext()
    with beside as competitor:
        facts = facts_of(
            bench=bench,
            rounds=options.rounds,
            shortened=options.quick,
            competitor=None if competitor is None else competitor.name,
            competitor_cap=competitor_cap,
        )
        outcomes = run_rounds(chosen, options.rounds, competitor, announce)
    return report(bench, facts, outcomes, targets, options)


def report(
    bench: str, facts: Mapping[str, object], outcomes: Sequence[Outcome], targets: Sequence[Target], options: Options
) -> ExitCode:
    """The exit code, after the table was printed, the files were written and the targets checked, as asked for.

    Raises `ConfigError`.
    """
    names = {outcome.row for outcome in outcomes}
    wanted = targets if not options.only else [target for target in targets if target.row in names]
    verdicts = judge(wanted, outcomes, bench, compiled=compiled())
    told = {**facts, "evidence": _evidence(bench, facts, outcomes, verdicts)}
    publish(
        bench,
        headline(facts),
        as_markdown(outcomes, verdicts),
        json=as_json(told, outcomes, verdicts),
        csv=as_csv(outcomes, verdicts),
        out=options.out,
    )
    return _check(verdicts) if options.check else ExitCode.REACHED


def _evidence(
    bench: str, facts: Mapping[str, object], outcomes: Sequence[Outcome], verdicts: Sequence[Verdict]
) -> Mapping[str, object]:
    gates = [
        Gate(
            name=f"{verdict.target.row}: {verdict.target.figure}",
            bound=verdict.target.words,
            value=verdict.value,
            passed=verdict.met,
            missing_reason=None if verdict.value is not None else "there was nothing to compare with",
        )
        for verdict in verdicts
    ]
    plans = {outcome.row: outcome.capacity for outcome in outcomes if outcome.capacity is not None}
    return evidence(bench, gates, plans, seeds=[SEED], shortened=bool(facts["shortened"]))


def _check(verdicts: Sequence[Verdict]) -> ExitCode:
    code = verdict_of(verdict.words for verdict in verdicts if verdict.met is False)
    unknown = [verdict.target.row for verdict in verdicts if verdict.met is None]
    if unknown:
        announce(f"not checked, since there was nothing to compare with: {', '.join(unknown)}")
    return code
