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
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import attrs
import click

from penstock import ConfigError
from penstock_bench.peer_environment import PeerUnavailable, cache_folder, peer_python
from penstock_bench.socket_cells import CAP, CELLS, CONTENDERS, OURS, SocketCell, quick
from penstock_bench.socket_environment import LibrariesUnavailable, libraries_python
from penstock_bench.socket_provider import MODEL, served
from penstock_bench.socket_results import CellOutcome, SocketRun, fairness
from penstock_bench.socket_tables import sockets_markdown, unexplained, write_sockets

__all__ = ["SocketOptions", "sockets_command", "verdict"]

REACHED: Final = 0
MISSED: Final = 1
NO_PEER: Final = 3
SECONDS: Final = 120.0
"""After so long a contender is broken off."""

_NEEDED: Final = ("httpx2", "openai", "penstock_httpx", "penstock_mockprovider")
_THEIRS: Final = str(Path(__file__).parent / "peer_side" / "socket_clients.py")


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


def sockets_command(options: SocketOptions) -> int:
    """Measure, tell, and check if asked to. Returns the exit code; raises `ConfigError`."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(f"penstock bench sockets needs {', '.join(missing)}: install penstock-bench[sockets]")
    cells = [quick(cell) if options.quick else cell for cell in _chosen(options.only)]
    try:
        commands = _commands(options.contender or tuple(CONTENDERS), options.peer_cache or cache_folder())
    except (LibrariesUnavailable, PeerUnavailable) as error:
        _tell(f"penstock: {error}")
        return NO_PEER
    outcomes = _measured(cells, commands, options.rounds)
    facts = {
        "bench": "sockets",
        "rounds": options.rounds,
        "shortened": options.quick,
        "cap": CAP,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in ("penstock-core", "trio", "openai")},
    }
    shortened = ", shortened" if options.quick else ""
    click.echo(f"penstock bench sockets: {options.rounds} rounds{shortened}; at most {CAP} calls at a time\n")
    click.echo(sockets_markdown(outcomes))
    if options.out is not None:
        try:
            write_sockets(options.out, facts, outcomes)
        except OSError as error:
            raise ConfigError(f"--out: cannot write to {options.out}: {error.strerror}") from None
    return verdict(outcomes) if options.check else REACHED


def verdict(outcomes: Sequence[CellOutcome]) -> int:
    """The exit code with `--check`; tells where ours is not the best and nothing says why."""
    missed = unexplained(outcomes)
    for words in missed:
        _tell(f"missed: {words}")
    return MISSED if missed else REACHED


def _chosen(only: Sequence[str]) -> list[SocketCell]:
    chosen = [cell for cell in CELLS if not only or cell.name.startswith(tuple(only))]
    if not chosen:
        raise ConfigError(
            f"--only: no row begins with {' or '.join(only)}; there are {', '.join(cell.name for cell in CELLS)}"
        )
    return chosen


def _commands(contenders: Sequence[str], cache: Path) -> Mapping[str, list[str]]:
    """How each is started. Makes the environments that they need."""
    commands = {}
    for name in contenders:
        if name == OURS:
            commands[name] = [sys.executable, "-m", "penstock_bench.socket_ours"]
        else:
            python = peer_python(cache, _tell) if name == "peer" else libraries_python(cache, _tell)
            commands[name] = [str(python), _THEIRS]
    return commands


def _measured(cells: Sequence[SocketCell], commands: Mapping[str, list[str]], rounds: int) -> list[CellOutcome]:
    kept: dict[str, dict[str, list[SocketRun]]] = {cell.name: {name: [] for name in commands} for cell in cells}
    for number in range(rounds):
        for cell in cells:
            for name, command in commands.items():
                _tell(f"round {number + 1} of {rounds}: {cell.title}: {CONTENDERS[name]}")
                kept[cell.name][name].append(_run(cell, name, command, seed=number))
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
            "seconds": SECONDS,
        }
        told = _asked(command, job)
        done = [(at, tenant) for at, tenant in told["done"]]
        last = max((at for at, _ in done), default=SECONDS)
        return SocketRun(last, provider.refused(), fairness(cell, done), bool(told["complete"]), len(done))


def _asked(command: list[str], job: Mapping[str, Any]) -> Mapping[str, Any]:
    process = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True)
    if process.returncode:
        lines = process.stderr.strip().splitlines()
        raise ConfigError(f"{CONTENDERS[job['contender']]} ended with an error: {lines[-1] if lines else 'no word'}")
    told: Mapping[str, Any] = json.loads(process.stdout)
    return told


def _tell(line: str) -> None:
    click.echo(line, err=True)
