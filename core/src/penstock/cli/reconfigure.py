"""The command `penstock reconfigure`, which gives a run that is under way another configuration."""

from __future__ import annotations

from pathlib import Path

import click

from penstock.cli.asking import show_answer
from penstock.cli.command_line import CommandLine
from penstock.run.explain_protocol import Question

__all__ = ["reconfigure"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--run", "wanted", metavar="ID|PID", help="This run, by its name or process id.")
@click.option("--json", "as_json", is_flag=True, help="A record, for programs.")
@click.pass_obj
def reconfigure(line: CommandLine, file: Path, wanted: str | None, as_json: bool) -> None:
    """Give a run that is under way the configuration in FILE, and show what changed.

    All of it or nothing: if anything is wrong with it, or something that waits could then never go, nothing changes,
    and every problem is shown (exit code 2). --run may be left out while there is only one run.
    """
    if line.plugins:
        what = "belong to the start of a run, which keeps them: give them where it is started, or name plugins in FILE"
        raise click.UsageError(f"--plugin and --no-plugin {what}")
    show_answer(wanted, Question(records=as_json, reconfigure=str(file.absolute())))
