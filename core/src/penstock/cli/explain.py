"""The command `penstock explain`, which asks a run that is under way what it waits for."""

from __future__ import annotations

import click

from penstock.cli.asking import show_answer
from penstock.run.explain_protocol import Question

__all__ = ["explain"]


@click.command()
@click.option("--run", "wanted", metavar="ID|PID", help="This run, by its name or process id.")
@click.option("--group", metavar="NAME", help="Only this group of tasks.")
@click.option("--json", "as_json", is_flag=True, help="Records, for programs.")
def explain(wanted: str | None, group: str | None, as_json: bool) -> None:
    """Show what a run that is under way waits for: every group, who refused it, since when, and what would end it.

    --run may be left out while there is only one run. `penstock run` answers; a program of your own does with
    `[scheduler] explain_socket = true`.
    """
    show_answer(wanted, Question(group, as_json))
