"""The plugin that adds `penstock run` and what goes with it.

Imported whenever one of its commands is asked for, so it imports what is heavy inside them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any, Final

import click

from penstock import ENDINGS, FileCheck, Without, hookimpl
from penstock_batch.report.cli import no_plugin_option, plan, plugin_option, report

if TYPE_CHECKING:
    from penstock import CommandLine
    from penstock_batch.running.progress import ProgressKind
    from penstock_batch.store.selecting import Selection

__all__ = ["BatchPlugin"]

_TABLES: Final = ("input", "output", "batch")


class BatchPlugin:
    """Pipelines of model calls and functions over rows, resumable at every cell: `penstock run PIPELINE.toml`."""

    @hookimpl
    def penstock_cli(self, cli: click.Group) -> None:
        """Add the commands `run`, `cells`, `plan` and `report`."""
        for command in (run, cells, plan, report):
            cli.add_command(command)

    @hookimpl
    def penstock_tables(self) -> Mapping[str, Any]:
        """The tables of pipelines."""
        from penstock_batch.pipeline.loading import TABLES

        return TABLES

    @hookimpl
    def penstock_check(
        self, file: Path, tables: Mapping[str, Any], plugin_files: tuple[Path, ...], left_out: tuple[str, ...]
    ) -> FileCheck | None:
        """What a pipeline would do. A file is one that has `[[steps]]`, or two of the other tables of pipelines."""
        if not isinstance(tables.get("steps"), list) and sum(name in tables for name in _TABLES) < 2:
            return None
        from penstock_batch.command import check_pipeline

        return check_pipeline(file, plugins=(*plugin_files, *map(Without, left_out)))


_pipeline_argument = click.argument("pipeline", type=click.Path(path_type=Path), metavar="PIPELINE.toml")


@click.command()
@_pipeline_argument
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Run the first N rows only.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Start anew: everything is asked again. What was kept is put aside until the run has ended.",
)
@click.option("--redo", metavar="STEP", help="Ask the cells of this step again that have an answer.")
@click.option(
    "--where",
    metavar="EXPRESSION",
    help="With --redo: only those of which this is true, as 'ended == \"length\"'; names are an answer's and columns.",
)
@plugin_option
@no_plugin_option
@click.option(
    "--trace-decisions",
    "trace",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write whom the gates asked about each task and call, what he answered and how long it took: lines of JSON.",
)
@click.option(
    "--progress",
    type=click.Choice(["auto", "plain", "none"]),
    default="auto",
    show_default=True,
    help="On standard error: a table on a terminal and lines elsewhere, lines always, or nothing.",
)
@click.pass_obj
def run(
    line: CommandLine,
    pipeline: Path,
    limit: int | None,
    overwrite: bool,
    redo: str | None,
    where: str | None,
    files: tuple[Path, ...],
    left_out: tuple[str, ...],
    trace: Path | None,
    progress: ProgressKind,
) -> None:
    """Run a pipeline: rows in, rows out.

    Finished cells are kept as they finish. The same command again goes on where it stopped, and pays for nothing twice.
    Ctrl+C once lets calls in flight come back; twice leaves at once.

    Exit code: 0 all rows done, 1 some rows failed (they are beside the output, with the reason), 2 wrong configuration,
    130 interrupted.
    """
    from penstock_batch.command import run_command

    if where is not None and redo is None:
        raise click.UsageError("--where says which cells of a step are meant: it needs --redo STEP")
    if overwrite and redo is not None:
        raise click.UsageError("--overwrite asks everything again, so there is nothing left for --redo")
    raise SystemExit(
        run_command(
            pipeline,
            limit=limit,
            overwrite=overwrite,
            plugins=(*line.plugins, *files, *map(Without, left_out)),
            progress=progress,
            redo=redo,
            where=where,
            trace=trace,
        )
    )


@click.group()
def cells() -> None:
    """Look at what is kept of a pipeline's answers, take it out, or throw it away.

    STORE is the file beside an output, or the pipeline's TOML.
    """


_store_argument = click.argument("store", type=click.Path(path_type=Path), metavar="STORE")


def _selecting(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which answers are meant, and the argument that says where they are."""
    for option in (
        click.option("--older-than", "older", metavar="AGE", help="Only answers of this age and more: 90min, 12h, 7d."),
        click.option("--ended", type=click.Choice([*ENDINGS, "none"]), help="Only answers that ended so."),
        click.option("--step", metavar="NAME", help="Only answers of the step that had this name."),
        _store_argument,
    ):
        command = option(command)
    return command


def _selection(step: str | None, ended: str | None, older: str | None) -> Selection:
    from penstock_batch.store.selecting import Selection, age_in_seconds

    try:
        before = None if older is None else time() - age_in_seconds(older)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--older-than") from None
    return Selection(step=step, ended=ended, before=before)


@cells.command("list")
@_selecting
@click.option("--most", type=click.IntRange(min=1), default=1000, show_default=True, help="Lines at most.")
def list_(store: Path, step: str | None, ended: str | None, older: str | None, most: int) -> None:
    """A line for each answer: key, step, when it came, how it ended, who answered, and how it begins."""
    from penstock_batch.cells import list_cells

    list_cells(store, _selection(step, ended, older), most)


@cells.command()
@_selecting
def count(store: Path, step: str | None, ended: str | None, older: str | None) -> None:
    """How many answers there are of each step and ending, their tokens, and what they cost."""
    from penstock_batch.cells import count_cells

    count_cells(store, _selection(step, ended, older))


@cells.command()
@_store_argument
@click.argument("key")
def show(store: Path, key: str) -> None:
    """All that is kept under a KEY, of which the beginning is enough. Exit code 1 if there is nothing."""
    from penstock_batch.cells import show_cells

    if not show_cells(store, key):
        raise click.ClickException(f"there is no answer whose key begins with {key}")


@cells.command()
@_selecting
def export(store: Path, step: str | None, ended: str | None, older: str | None) -> None:
    """Each answer whole, as a line of JSON, on standard output."""
    from penstock_batch.cells import export_cells

    export_cells(store, _selection(step, ended, older))


@cells.command()
@_selecting
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(store: Path, step: str | None, ended: str | None, older: str | None, yes: bool) -> None:
    """Throw answers away for good. To ask them again on purpose, `penstock run --redo` is better: it keeps accounts."""
    from penstock_batch.cells import drop_cells

    drop_cells(store, _selection(step, ended, older), sure=yes)
