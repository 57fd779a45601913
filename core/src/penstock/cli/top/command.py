"""The command `penstock top`, which shows a run that is under way, again and again."""

from __future__ import annotations

import json
import math
import sys
from functools import partial

import click
import trio

from penstock.cli.asking import chosen_run
from penstock.run.explain_asking import FoundRun
from penstock.words.errors import ConfigError
from penstock.words.printable import printable
from penstock.words.report import RunFigures

__all__ = ["top"]


@click.command()
@click.option("--run", "wanted", metavar="ID|PID", help="This run, by its name or process id.")
@click.option("--once", is_flag=True, help="Show it once; so it is where the output is no terminal.")
@click.option("--json", "as_json", is_flag=True, help="The figures once, as a record, for programs.")
@click.option(
    "--interval",
    type=click.FloatRange(0.2, 3600.0),
    callback=lambda _, __, seconds: _a_duration(seconds),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="From one look to the next.",
)
def top(wanted: str | None, once: bool, as_json: bool, interval: float) -> None:
    """Show a run that is under way: limits, what is in flight, who waits and for what, tenants, rates. Ctrl+C leaves.

    It changes nothing; `penstock reconfigure` does. --run may be left out while there is only one run. `penstock run`
    answers; a program of your own does with `[scheduler] explain_socket = true`. Needs `penstock-core[top]`, but for
    --json.
    """
    if as_json:
        click.echo(json.dumps(_look(chosen_run(wanted)).as_dict(), indent=2))
        return
    try:
        from penstock.cli.top import screen
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != "rich":
            raise
        raise ConfigError('penstock top needs rich: python -m pip install "penstock-core[top]"') from None
    run = chosen_run(wanted)
    if once or not sys.stdout.isatty():
        screen.show_once(_look(run))
        return
    try:
        said = screen.show_until_it_ends(run, interval)
    except KeyboardInterrupt:
        return
    except (OSError, ValueError) as error:
        raise _silent(run, error) from error
    click.echo(f"run {printable(run.greeting.run_id)}: {said}")


def _a_duration(seconds: float) -> float:
    if math.isnan(seconds):  # which is in every range
        raise click.BadParameter("nan is no number of seconds")
    return seconds


def _look(run: FoundRun) -> RunFigures:
    from penstock.cli.top.watching import figures_of_run

    try:
        return trio.run(partial(figures_of_run, run))
    except (OSError, ValueError) as error:
        raise _silent(run, error) from error


def _silent(run: FoundRun, error: Exception) -> ConfigError:
    name = printable(run.greeting.run_id)
    return ConfigError(f"run {name} (pid {run.greeting.pid}) gave no answer: {printable(str(error))}")
