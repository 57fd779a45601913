"""The plugin: it adds `penstock bench`. It imports what is heavy inside the commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from penstock import hookimpl

__all__ = ["BenchPlugin"]

Command = Callable[..., None]
Option = Callable[[Command], Command]


class BenchPlugin:
    """Measures Penstock beside its closest competitor, and holds the figures against what is to be reached:
    `penstock bench`.
    """

    @hookimpl
    def penstock_cli(self, cli: click.Group) -> None:
        """Adds the command group `bench`."""
        cli.add_command(bench)


@click.group()
def bench() -> None:
    """Measure Penstock beside its closest competitor, and hold the figures against what is to be reached.

    The competitor (in options and tables: the peer) is the PyPI package data-designer-engine, in an environment of its
    own that is made in a cache folder when it is first needed. Both sides take turns within one run; the median
    counts, and the spread is shown."""


def _folder(name: str, use: str) -> Option:
    return click.option(name, type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help=use)


def _rounds(default: int) -> Option:
    return click.option(
        "--rounds", type=click.IntRange(min=1), default=default, show_default=True, help="The median counts."
    )


_out = _folder("--out", "Write JSON, CSV and Markdown into this folder.")
_only = click.option("--only", multiple=True, metavar="NAME", help="Only rows whose names begin so. Several times.")


def _options(command: Command) -> Command:
    options: list[Option] = [
        _rounds(5),
        click.option("--quick", is_flag=True, help="Shortened: to see whether all is well, and no evidence."),
        click.option("--check", is_flag=True, help="Exit with 1 if a target is missed, and name its row."),
        _out,
        click.option("--without-peer", is_flag=True, help="Measure Penstock alone."),
        _folder("--peer-cache", "Where the competitor's environment is kept, if not in the user's cache folder."),
        _only,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _end_with(command: Callable[[], int]) -> NoReturn:
    from penstock_bench.competitor.environment import CompetitorUnavailable
    from penstock_bench.reporting.console import ExitCode, announce

    try:
        code = command()
    except CompetitorUnavailable as error:
        announce(f"penstock: {error}")
        code = ExitCode.UNAVAILABLE
    raise SystemExit(code)


def _run(name: str, given: dict[str, Any]) -> None:
    from penstock_bench.command import Options, bench_command

    _end_with(lambda: bench_command(name, Options(**given)))


@bench.command()
@_options
def dispatch(**given: Any) -> None:
    """One cycle of the task gate: select, acquire, commit, release.

    Exit code: 0 done, 1 a target was missed (with --check), 2 wrong options, 3 the competitor cannot be had.
    """
    _run("dispatch", given)


@bench.command()
@_options
def tasks(**given: Any) -> None:
    """Tasks from end to end, with and without a sink, and what they weigh.

    Exit code: 0 done, 1 a target was missed (with --check), 2 wrong options, 3 the competitor cannot be had.
    """
    _run("tasks", given)


@bench.command()
@_options
def requests(**given: Any) -> None:
    """Admission of calls: alone, in a crowd, and what waiting costs.

    Exit code: 0 done, 1 a target was missed (with --check), 2 wrong options, 3 the competitor cannot be had.
    """
    _run("requests", given)


@bench.command()
@_options
def worker(**given: Any) -> None:
    """Tasks on standard input: what one costs beside a bare loop over it, and that none is torn or lost.

    Exit code: 0 done, 1 a target was missed (with --check) or an answer was lost, 2 wrong options.
    """
    _run("worker", given)


@bench.command()
@_options
def batch(**given: Any) -> None:
    """Rows of a pipeline: what one costs beside bare loops, what one costs that is kept, and the memory.

    Exit code: 0 done, 1 a target was missed (with --check), 2 wrong options, 3 the cookbook's way cannot be had.
    """
    _run("batch", given)


@bench.command()
@_options
def gateway(**given: Any) -> None:
    """Calls through the gateway: what one costs in all its processes, beside nginx, Starlette with httpx2, and LiteLLM.

    Needs Linux, penstock-gateway, nginx and wrk; the others get environments of their own.

    Exit code: 0 done, 1 a target was missed (with --check), 2 wrong options, 3 something cannot be had.
    """
    from penstock_bench.command import Options
    from penstock_bench.gateway.command import gateway_command

    _end_with(lambda: gateway_command(Options(**given)))


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
@_out
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Processes; one for each core without it.")
@click.option("--with-peer", is_flag=True, help="Run what it can run with the competitor's request admission too.")
@_folder("--peer-cache", "The same, with the competitor's environment kept in this folder.")
@click.option("--with-oracle", is_flag=True, help="Show beside it the best that is to be had by the same rules.")
def scenarios(**given: Any) -> None:
    """Request admission against providers with known limits, in virtual time.

    Each scenario is run with each seed, and the worst seed is held against what must be reached. The figures are the
    same on every machine.

    Exit code: 0 done, 1 something was missed or could not be run (with --check), 2 wrong options or a wrong file,
    3 the competitor cannot be had.
    """
    from penstock_bench.scenarios.command import ScenarioOptions, scenarios_command

    _end_with(lambda: scenarios_command(ScenarioOptions(**given)))


@bench.command()
@_rounds(1)
@click.option("--quick", is_flag=True, help="A tenth of the calls: to see whether all is well, and no evidence.")
@click.option("--check", is_flag=True, help="Exit with 1 where Penstock is not the best and no reason is known.")
@_out
@_folder("--peer-cache", "Where the others' environments are kept, if not in the user's cache folder.")
@_only
@click.option(
    "--contender",
    multiple=True,
    type=click.Choice(["penstock", "tenacity", "aiolimiter", "inspect_ai", "peer", "openai"]),
    help="Only these. Several times.",
)
def sockets(**given: Any) -> None:
    """Calls over real sockets against a mock provider with limits, beside other ways to keep within them.

    Exit code: 0 done, 1 Penstock is not the best somewhere (with --check), 2 wrong options, 3 the others cannot be had.
    """
    from penstock_bench.sockets.command import SocketOptions, sockets_command

    _end_with(lambda: sockets_command(SocketOptions(**given)))


@bench.command()
@click.option("--cycles", type=click.IntRange(min=1), default=300, show_default=True, help="How many are counted.")
@click.option("--places", type=click.IntRange(min=1), default=30, show_default=True, help="How many are shown.")
def profile(cycles: int, places: int) -> None:
    """Where a cycle of the task gate goes: bytecodes and calls by function, the same on every machine."""
    from penstock_bench.profile.command import profile_command

    profile_command(cycles, places)


@bench.command()
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    help="How long a row takes, roughly; less is shortened, and no evidence.",
)
@click.option("--check", is_flag=True, help="Exit with 1 if a promise is not kept, and name its row.")
@_only
def runners(**given: Any) -> None:
    """Task runners: all cores, who suffers beside them, and what is lost when workers and programs are killed.

    Needs penstock-processes and penstock-threads. Exit code: 0 done, 1 a promise was not kept (with --check), 2 wrong
    options.
    """
    from penstock_bench.runners.command import RunnerOptions, runners_command

    _end_with(lambda: runners_command(RunnerOptions(**given)))
