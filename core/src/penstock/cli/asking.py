"""The question of a command to a run that is under way: the one that is named, or the only one there is."""

from __future__ import annotations

import os
from datetime import datetime

import click
import trio

from penstock.run.explain_asking import FoundRun, FoundRuns, ask, find_runs
from penstock.run.explain_protocol import Question, RunRefused
from penstock.run.socket_folder import possible_folders
from penstock.words.errors import ConfigError
from penstock.words.printable import printable

__all__ = ["chosen_run", "show_answer"]


def show_answer(wanted: str | None, question: Question) -> None:
    """Show what the run that is asked answers, as it is for records, else behind the run's name.

    Raises `ConfigError` if there is no such run, if several may be meant, and with what the run refuses.
    """
    run = chosen_run(wanted)
    name = printable(run.greeting.run_id)
    try:
        answer = trio.run(ask, run, question)
    except RunRefused as error:
        raise ConfigError(error.problems) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"run {name} (pid {run.greeting.pid}) gave no answer: {error}") from error
    click.echo(answer if question.records else f"run {name}: {answer}")


def chosen_run(wanted: str | None) -> FoundRun:
    """The run that is meant, by its name or process id; the only one where nothing is said. Raises `ConfigError` if
    there is none, or if several may be meant."""
    found = trio.run(find_runs)
    run = _chosen(found, wanted)
    for note in found.notes:
        click.echo(f"penstock: {printable(note)}", err=True)
    return run


def _chosen(found: FoundRuns, wanted: str | None) -> FoundRun:
    """The one run that is meant. Raises `ConfigError` with a line for each that there is."""
    runs, notes = found.runs, found.notes
    if not runs:
        raise ConfigError([_no_run(), *notes])
    if wanted is not None:
        runs = tuple(run for run in runs if wanted in (run.greeting.run_id, str(run.greeting.pid)))
    if len(runs) == 1:
        return runs[0]
    if not runs:
        problem = f"there is no run {wanted!r} under way; there are"
    else:
        problem = f"{len(runs)} runs are under way; choose one by --run ID or --run PID"
    raise ConfigError([problem, *map(_line, runs or found.runs), *notes])


def _no_run() -> str:
    looked = f"; looked in {' and '.join(map(str, possible_folders()))}" if hasattr(os, "geteuid") else ""
    answering = "`penstock run`, or `[scheduler] explain_socket = true`"
    return f"no run of yours is under way that answers ({answering}){looked}"


def _line(run: FoundRun) -> str:
    greeting = run.greeting
    try:
        started = datetime.fromisoformat(greeting.started).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        started = "an unknown time"
    return f"  {printable(greeting.run_id)}  pid {greeting.pid}  since {started}"
