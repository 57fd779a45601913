"""The plugin: it adds `penstock bench`. It imports what is heavy inside the commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from penstock import hookimpl

__all__ = ["BenchPlugin"]


class BenchPlugin:
    """Measures Penstock beside its closest peer, and holds the figures against what is to be reached:
    `penstock bench`.
    """

    @hookimpl
    def penstock_cli(self, cli: click.Group) -> None:
        """Adds the command group `bench`."""
        cli.add_command(bench)


@click.group()
def bench() -> None:
    """Measure Penstock beside its closest peer, and hold the figures against what is to be reached.

    The peer is the PyPI package data-designer-engine, in an environment of its own that is made in a cache
    folder when it is first needed. Both sides take turns within one run; the median counts, and the spread is
    told."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    options = [
        click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="The median counts."),
        click.option("--quick", is_flag=True, help="Shortened: to see whether all is well, and no evidence."),
        click.option("--check", is_flag=True, help="Exit with 1 if a target is missed, and name its row."),
        click.option(
            "--out",
            type=click.Path(file_okay=False, path_type=Path),
            metavar="DIR",
            help="Write JSON, CSV and Markdown into this folder.",
        ),
        click.option("--without-peer", is_flag=True, help="Measure Penstock alone."),
        click.option(
            "--peer-cache",
            type=click.Path(file_okay=False, path_type=Path),
            metavar="DIR",
            help="Where the peer's environment is kept, if not in the user's cache folder.",
        ),
        click.option("--only", multiple=True, metavar="NAME", help="Only rows whose names begin so. Several times."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _run(name: str, given: dict[str, Any]) -> None:
    from penstock_bench.command import Options, bench_command

    raise SystemExit(bench_command(name, Options(**given)))


@bench.command()
@_options
def dispatch(**given: Any) -> None:
    """One cycle of the task gate: select, acquire, commit, release.

    Exit code: 0 done, 1 a target was missed (with --check), 2 wrong options, 3 the peer cannot be had.
    """
    _run("dispatch", given)


@bench.command()
@_options
def tasks(**given: Any) -> None:
    """Tasks from end to end, with and without a sink, and what they weigh.

    Exit code: 0 done, 1 a target was missed (with --check), 2 wrong options, 3 the peer cannot be had.
    """
    _run("tasks", given)


@bench.command()
@_options
def requests(**given: Any) -> None:
    """Admission of calls: alone, in a crowd, and what waiting costs.

    Exit code: 0 done, 1 a target was missed (with --check), 2 wrong options, 3 the peer cannot be had.
    """
    _run("requests", given)


@bench.command()
@click.option("--seeds", default="0-9", show_default=True, metavar="SEEDS", help="As 0-9 or 3,5,300-319.")
@click.option("--scenario", multiple=True, metavar="NAME", help="Only this scenario. Several times.")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="TOML",
    help="Other scenarios than those that come with Penstock.",
)
@click.option("--check", is_flag=True, help="Exit with 1 if something is missed, and name scenario and figure.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write JSON, CSV and Markdown into this folder.",
)
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Processes; one for each core without it.")
@click.option("--with-peer", is_flag=True, help="Run what it can run with the peer's request admission too.")
@click.option(
    "--peer-cache",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="The same, with the peer's environment kept in this folder.",
)
def scenarios(**given: Any) -> None:
    """Request admission against providers with known limits, in virtual time.

    Each scenario is run with each seed, and the worst seed is held against what must be reached. The figures are the
    same on every machine.

    Exit code: 0 done, 1 something was missed or could not be run (with --check), 2 wrong options or a wrong file,
    3 the peer cannot be had.
    """
    from penstock_bench.scenario_command import ScenarioOptions, scenarios_command

    raise SystemExit(scenarios_command(ScenarioOptions(**given)))


@bench.command()
@click.option("--rounds", type=click.IntRange(min=1), default=1, show_default=True, help="The median counts.")
@click.option("--quick", is_flag=True, help="A tenth of the calls: to see whether all is well, and no evidence.")
@click.option("--check", is_flag=True, help="Exit with 1 where Penstock is not the best and no reason is known.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write JSON, CSV and Markdown into this folder.",
)
@click.option(
    "--peer-cache",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the others' environments are kept, if not in the user's cache folder.",
)
@click.option("--only", multiple=True, metavar="NAME", help="Only rows whose names begin so. Several times.")
@click.option(
    "--contender",
    multiple=True,
    type=click.Choice(["penstock", "tenacity", "aiolimiter", "peer", "openai"]),
    help="Only these. Several times.",
)
def sockets(**given: Any) -> None:
    """Calls over real sockets against a mock provider with limits, beside other ways to keep within them.

    Exit code: 0 done, 1 Penstock is not the best somewhere (with --check), 2 wrong options, 3 the others cannot be had.
    """
    from penstock_bench.socket_command import SocketOptions, sockets_command

    raise SystemExit(sockets_command(SocketOptions(**given)))


@bench.command()
@click.option("--cycles", type=click.IntRange(min=1), default=300, show_default=True, help="How many are counted.")
@click.option("--places", type=click.IntRange(min=1), default=30, show_default=True, help="How many are told.")
def profile(cycles: int, places: int) -> None:
    """Where a cycle of the task gate goes: bytecodes and calls by function, the same on every machine."""
    from penstock_bench.opcodes import cycles_of, told
    from penstock_bench.workloads import all_fits, window

    warm_up = 1000  # of the window: by then its preferred groups are at their limits
    tasks = warm_up + cycles + 4000
    for title, workload in (
        ("all fits, 1 group", all_fits(1, tasks)),
        ("all fits, 256 groups", all_fits(256, tasks)),
        ("64 held, 32 blocked, 256 groups", window(256, tasks)),
    ):
        click.echo(f"{told(title, cycles_of(workload, warm_up, cycles), places)}\n")
