"""The command `penstock explain`, which asks a run that is under way what it waits for."""

from __future__ import annotations

import json
import os

import click

from penstock.run.explain_socket import ask, runs_that_answer, runtime_folder
from penstock.words.errors import ConfigError

__all__ = ["explain"]


@click.command()
@click.argument("run_id", required=False)
@click.option("--group", metavar="NAME", help="Only this group of tasks.")
@click.option("--json", "as_json", is_flag=True, help="Records, for programs.")
def explain(run_id: str | None, group: str | None, as_json: bool) -> None:
    """Show what a run that is under way waits for: every group, who refused it, since when, and what would end it.

    RUN_ID names the run; it may be left out while there is only one. `penstock run` answers; a program of your own does
    with `[scheduler] explain_socket = true`.
    """
    runs = runs_that_answer()
    if run_id is None:
        if len(runs) != 1:
            raise ConfigError(_which(list(runs)))
        (run_id,) = runs
    path = runs.get(run_id)
    if path is None:
        raise ConfigError(f"there is no run {run_id!r} under way; {_which(list(runs))}")
    try:
        answer = ask(path, group)
    except OSError as error:
        raise ConfigError(f"run {run_id!r} did not answer: {error}") from error
    click.echo(json.dumps(answer["records"], indent=2) if as_json else f"run {run_id}: {answer['text']}")


def _which(runs: list[str]) -> str:
    if not runs:
        looked = f"; looked in {runtime_folder()}" if hasattr(os, "getuid") else ""
        answering = "`penstock run`, or `[scheduler] explain_socket = true`"
        return f"no run of yours is under way that answers ({answering}){looked}"
    return f"under way are {', '.join(runs)}; name one"
