"""What `penstock bench` does, from its options to the exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs
import click

from penstock import ConfigError
from penstock_bench.dispatch_rows import dispatch_rows
from penstock_bench.machine import facts as facts_of, headline
from penstock_bench.peer_client import PeerProcess
from penstock_bench.peer_environment import PeerUnavailable, cache_folder, peer_python
from penstock_bench.records import Outcome
from penstock_bench.requests_rows import requests_rows
from penstock_bench.rounds import run_rounds
from penstock_bench.rows import Measured, Peer, Row
from penstock_bench.sizes import FULL, QUICK, Sizes
from penstock_bench.tables import as_markdown, write_all
from penstock_bench.targets import Target, Verdict, judge, load_targets
from penstock_bench.tasks_rows import tasks_rows

__all__ = ["BENCHES", "Options", "bench_command", "report"]

BENCHES: Final[Mapping[str, Callable[[Sizes], list[Row]]]] = {
    "dispatch": dispatch_rows,
    "tasks": tasks_rows,
    "requests": requests_rows,
}

REACHED: Final = 0
MISSED: Final = 1
NO_PEER: Final = 3


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


def bench_command(bench: str, options: Options) -> int:
    """Measure, tell, and check if asked to. Returns the exit code; raises `ConfigError`."""
    sizes = QUICK if options.quick else FULL
    rows = _chosen(BENCHES[bench](sizes), options.only)
    needed = not options.without_peer and any(isinstance(row.other, Peer) for row in rows)
    try:
        with _peer(options, sizes.peer_cap) if needed else _nobody() as peer:
            name = None if peer is None else peer.name
            facts = facts_of(
                bench=bench, rounds=options.rounds, shortened=options.quick, peer=name, peer_cap=sizes.peer_cap
            )
            outcomes = run_rounds(rows, options.rounds, peer, _tell)
    except PeerUnavailable as error:
        _tell(f"penstock: {error}")
        return NO_PEER
    return report(bench, facts, outcomes, load_targets(), options)


def report(
    bench: str, facts: Mapping[str, object], outcomes: Sequence[Outcome], targets: Sequence[Target], options: Options
) -> int:
    """Print the table, write the files, and check. Returns the exit code; raises `ConfigError`."""
    names = {outcome.row for outcome in outcomes}
    wanted = targets if not options.only else [target for target in targets if target.row in names]
    verdicts = judge(wanted, outcomes, bench)
    click.echo(f"{headline(facts)}\n\n{as_markdown(outcomes, verdicts)}")
    if options.out is not None:
        try:
            write_all(options.out, bench, facts, outcomes, verdicts)
        except OSError as error:
            raise ConfigError(f"--out: cannot write to {options.out}: {error.strerror}") from None
    return _check(verdicts) if options.check else REACHED


def _check(verdicts: Sequence[Verdict]) -> int:
    missed = [verdict for verdict in verdicts if verdict.met is False]
    unknown = [verdict for verdict in verdicts if verdict.met is None]
    for verdict in missed:
        _tell(f"missed: {verdict.words}")
    if unknown:
        _tell(f"not checked, since there was nothing to compare with: {', '.join(v.target.row for v in unknown)}")
    return MISSED if missed else REACHED


def _chosen(rows: list[Row], only: Sequence[str]) -> list[Row]:
    """The rows whose names begin with one of `only`; all, if that is empty."""
    chosen = [row for row in rows if not only or row.name.startswith(tuple(only))]
    if not chosen:
        raise ConfigError(
            f"--only: no row begins with {' or '.join(only)}; there are {', '.join(r.name for r in rows)}"
        )
    return chosen


@contextmanager
def _peer(options: Options, cap: float) -> Iterator[Measured | None]:
    cache = cache_folder() if options.peer_cache is None else options.peer_cache
    python = peer_python(cache, _tell)
    with PeerProcess(python, cap, cache / "peer.log") as process:
        yield process


@contextmanager
def _nobody() -> Iterator[Measured | None]:
    yield None


def _tell(line: str) -> None:
    click.echo(line, err=True)
