"""The command `penstock explain`, which asks a run that is under way what it waits for, or what limits it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from penstock.cli.asking import show_answer
from penstock.cli.command_line import CommandLine
from penstock.config.reading import load_config
from penstock.plugins.manager import PluginManager
from penstock.run.dry_run import dry_run
from penstock.run.explain_protocol import Question
from penstock.words.capacity_words import capacity_in_words
from penstock.words.printable import printable

__all__ = ["explain"]


@click.command()
@click.option("--run", "wanted", metavar="ID|PID", help="This run, by its name or process id.")
@click.option("--group", metavar="NAME", help="Only this group of tasks.")
@click.option("--capacity", is_flag=True, help="What limits the run: configured, now, and the most at once so far.")
@click.option("--json", "as_json", is_flag=True, help="Records, for programs.")
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[FILE]")
@click.pass_obj
def explain(
    line: CommandLine, wanted: str | None, group: str | None, capacity: bool, as_json: bool, file: Path | None
) -> None:
    """Show what a run that is under way waits for: every group, who refused it, since when, and what would end it.

    With --capacity, what limits it, and who says each figure. With --capacity and a TOML file, what would limit a run
    by that, before there is one: the plugins are made and their factories tried, nothing is called.

    --run may be left out while there is only one run. `penstock run` answers; a program of your own does with
    `[scheduler] explain_socket = true`.
    """
    if capacity and group is not None:
        raise click.UsageError("--capacity is of the whole run: leave --group out")
    if file is None:
        show_answer(wanted, Question(group, as_json, capacity=capacity))
        return
    if not capacity or wanted is not None:
        raise click.UsageError("a FILE is for --capacity before a run, without --run")
    config = load_config(file, foreign_tables=True).config
    plan = dry_run(config, PluginManager.from_config(config, extra=line.plugins))
    if as_json:
        click.echo(json.dumps({"configured": plan.as_dict()["configured"]}, indent=2))
    else:
        shown = capacity_in_words({"configured": plan.sections()["configured"]})
        click.echo(f"{printable(str(file))}: what would limit a run\n{shown}")
