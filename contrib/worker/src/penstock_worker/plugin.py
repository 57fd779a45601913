"""The plugin that adds `penstock worker`. Imported whenever that is asked for, so it imports what is heavy inside the
command.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penstock import Without, hookimpl

if TYPE_CHECKING:
    from penstock import CommandLine, FileCheck

__all__ = ["WorkerPlugin"]


class WorkerPlugin:
    """Tasks as JSON lines on standard input, many at a time, answers on standard output: `penstock worker module`."""

    @hookimpl
    def penstock_cli(self, cli: click.Group) -> None:
        """Add the command `worker`."""
        cli.add_command(worker)

    @hookimpl
    def penstock_check(
        self, file: Path, tables: Mapping[str, Any], plugin_files: tuple[Path, ...], left_out: tuple[str, ...]
    ) -> FileCheck | None:
        """What a worker makes of a file. A file is one that has `[worker]`."""
        if "worker" not in tables:
            return None
        from penstock_worker.command import check_worker

        return check_worker(file, (*plugin_files, *map(Without, left_out)))

    @hookimpl
    def penstock_tables(self) -> Mapping[str, Any]:
        """The table of a worker."""
        from penstock_worker.settings import TABLES

        return TABLES


@click.command()
@click.argument("app", metavar="MODULE[:APP]")
@click.option(
    "--workers",
    type=int,
    default=1,
    show_default=True,
    help="How many tasks run at a time. PENSTOCK_WORKERS, or else RUNQY_PYTHON_WORKERS, overrides it.",
)
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Limits, plugins and [worker] as TOML.")
@click.option("--once", is_flag=True, help="End after one task.")
@click.pass_obj
def worker(line: CommandLine, app: str, workers: int, config: Path | None, once: bool) -> None:
    """Do the tasks that come on standard input, one JSON object per line, and answer on standard output.

    MODULE is imported from the folder that this is started in, or from what is installed. APP is a
    penstock_worker.Worker in it; without APP it is what the module marked with @task.

    With one worker tasks run one by one, in the order in which they came. Exit code: 0 standard input has ended, or
    SIGTERM came, 1 it could not load or broke down, 2 wrong configuration.
    """
    from penstock_worker.command import run_worker

    raise SystemExit(run_worker(app, workers=workers, config=config, once=once, plugins=line.plugins))
