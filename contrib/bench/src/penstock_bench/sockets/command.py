"""What `penstock bench sockets` does, from its options to the exit code.

Provider and client are processes of their own; every contender meets a fresh provider, with the same seed in the same
round.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import attrs

from penstock import ConfigError
from penstock_bench.competitor.environment import CLOSEST, Environment, cache_folder
from penstock_bench.reporting.console import ExitCode, announce, rows_named, verdict_of
from penstock_bench.reporting.evidence import Gate, evidence
from penstock_bench.reporting.tables import publish
from penstock_bench.sockets.cells import CAP, CELLS, CONTENDERS, OURS, SocketCell, quick
from penstock_bench.sockets.provider import MODEL, served
from penstock_bench.sockets.results import CellOutcome, SocketRun, fairness
from penstock_bench.sockets.tables import sockets_csv, sockets_json, sockets_markdown, unexplained

__all__ = ["LIBRARIES", "SocketOptions", "sockets_command", "sockets_evidence"]

GRACE: Final = 60.0
"""Seconds beyond those of the job for the start and the end of a contender's process."""

_PACKAGES: Final = ("aiolimiter==1.3.0", "inspect_ai==0.3.285", "openai==3.52.0", "tenacity==9.2.1")

LIBRARIES: Final = Environment(
    title=", ".join(_PACKAGES), stem="sockets-", packages=_PACKAGES, without="--contender penstock"
)
"""That of the libraries that are measured beside us."""

_NEEDED: Final = ("httpx2", "openai", "penstock_httpx", "penstock_mockprovider")
_THEIRS: Final = str(Path(__file__).parents[1] / "competitor_side" / "sockets.py")


@attrs.frozen(kw_only=True)
class SocketOptions:
    """What was asked for."""

    rounds: int = 1
    quick: bool = False
    check: bool = False
    out: Path | None = None
    peer_cache: Path | None = None
    only: tuple[str, ...] = ()
    contender: tuple[str, ...] = ()


def sockets_command(options: SocketOptions) -> ExitCode:
    """The exit code, after the cells have been measured and reported. Raises `ConfigError`, `CompetitorUnavailable`."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(f"penstock bench sockets needs {', '.join(missing)}: install penstock-bench[sockets]")
    cells = [quick(cell) if options.quick else cell for cell in rows_named(CELLS, options.only)]
    commands = _commands(options.contender or tuple(CONTENDERS), options.peer_cache or cache_folder())
    outcomes = _measured(cells, commands, options.rounds)
    facts = {
        "bench": "sockets",
        "rounds": options.rounds,
        "shortened": options.quick,
        "cap": CAP,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in ("penstock-core", "trio", "openai")},
        "contenders": [*_PACKAGES, *CLOSEST.packages],
    }
    shortened = ", shortened" if options.quick else ""
    publish(
        "sockets",
        f"penstock bench sockets: {options.rounds} rounds{shortened}; at most {CAP} calls at a time",
        sockets_markdown(outcomes),
        json=sockets_json({**facts, "evidence": sockets_evidence(outcomes, options)}, outcomes),
        csv=sockets_csv(outcomes),
        out=options.out,
    )
    return verdict_of(unexplained(outcomes)) if options.check else ExitCode.REACHED


def sockets_evidence(outcomes: Sequence[CellOutcome], options: SocketOptions) -> Mapping[str, object]:
    """The evidence of these outcomes: a gate for each cell."""
    gates = []
    for outcome in outcomes:
        behind = unexplained([outcome])
        gates.append(
            Gate(
                name=outcome.cell.name,
                bound="ours is the best, or the reason is known",
                value="; ".join(behind) or "it is",
                passed=not behind,
            )
        )
    return evidence("sockets", gates, {}, seeds=range(options.rounds), shortened=options.quick)


def _commands(contenders: Sequence[str], cache: Path) -> Mapping[str, list[str]]:
    """How each is started. Makes the environments that they need."""
    commands = {}
    for name in contenders:
        if name == OURS:
            commands[name] = [sys.executable, "-m", "penstock_bench.sockets.ours"]
        else:
            environment = CLOSEST if name == "peer" else LIBRARIES
            commands[name] = [str(environment.python(cache, announce)), "-P", _THEIRS]
    return commands


def _measured(cells: Sequence[SocketCell], commands: Mapping[str, list[str]], rounds: int) -> list[CellOutcome]:
    kept: dict[str, dict[str, list[SocketRun]]] = {cell.name: {name: [] for name in commands} for cell in cells}
    runs = list(product(range(rounds), cells, commands))
    for nth, (number, cell, name) in enumerate(runs, 1):
        run = _run(cell, name, commands[name], seed=number)
        kept[cell.name][name].append(run)
        taken = f"{run.seconds:.1f} s" if run.complete else f"only {run.done} calls in {cell.most_seconds:.1f} s"
        announce(f"{nth} of {len(runs)}: {cell.name}: {CONTENDERS[name]}: {taken}, {run.refused} 429s")
    return [CellOutcome(cell, kept[cell.name]) for cell in cells]


def _run(cell: SocketCell, name: str, command: list[str], seed: int) -> SocketRun:
    with TemporaryDirectory() as folder, served(cell, Path(folder), seed) as provider:
        job = {
            "contender": name,
            "base_url": provider.base_url,
            "model": MODEL,
            "cap": CAP,
            "rate": cell.rate,
            "tenants": dict(cell.tenants),
            "seconds": cell.most_seconds,
        }
        answer = _answer(command, job)
        done = [(at, tenant) for at, tenant in answer["done"]]
        last = max((at for at, _ in done), default=cell.most_seconds)
        return SocketRun(last, provider.refused(), fairness(cell, done), bool(answer["complete"]), len(done))


def _answer(command: list[str], job: Mapping[str, Any]) -> Mapping[str, Any]:
    timeout = job["seconds"] + GRACE
    try:
        process = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{CONTENDERS[job['contender']]} did not end within {timeout:.0f} s") from None
    if process.returncode:
        lines = process.stderr.strip().splitlines()
        raise ConfigError(f"{CONTENDERS[job['contender']]} ended with an error: {lines[-1] if lines else 'no word'}")
    answer: Mapping[str, Any] = json.loads(process.stdout)
    return answer
