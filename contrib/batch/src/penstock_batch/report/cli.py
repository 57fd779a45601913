"""How `penstock plan` and `penstock report` are called. What is heavy is imported inside the commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from penstock import Without

if TYPE_CHECKING:
    from penstock import CommandLine

__all__ = ["no_plugin_option", "plan", "plugin_option", "report"]

plugin_option = click.option(
    "--plugin",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Load this Python file as a plugin. May be given several times.",
)
no_plugin_option = click.option(
    "--no-plugin",
    "left_out",
    multiple=True,
    metavar="NAME",
    help="Leave this plugin out, whatever the pipeline names. May be given several times.",
)

_pipeline_argument = click.argument("pipeline", type=click.Path(path_type=Path), metavar="PIPELINE.toml")


@click.command()
@_pipeline_argument
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="Render what is asked for so many rows.",
)
@plugin_option
@no_plugin_option
@click.pass_obj
def plan(line: CommandLine, pipeline: Path, rows: int, files: tuple[Path, ...], left_out: tuple[str, ...]) -> None:
    """Estimate calls, tokens, cost and time of a run, without calling or writing anything.

    Exit code: 0, or 2 for a wrong configuration.
    """
    from penstock_batch.report.commands import plan_command

    plugins = (*line.plugins, *files, *map(Without, left_out))
    raise SystemExit(plan_command(pipeline, rows=rows, plugins=plugins))


@click.command()
@click.argument(
    "files", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="PIPELINE.toml | RECORD.jsonl…"
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    metavar="FILE",
    help="Where the page is written.",
)
@click.option("--run", "number", type=click.IntRange(min=1), metavar="N", help="Of this run; else of the last one.")
@click.option(
    "--rows", type=click.IntRange(min=0), metavar="N", help="Of a pipeline: show so many rows.  [default: 100]"
)
@click.option("--text", is_flag=True, help="Print it instead, without charts and rows; that needs nothing more.")
@click.pass_context
def report(
    context: click.Context, files: tuple[Path, ...], output: Path, number: int | None, rows: int | None, text: bool
) -> None:
    """Make one HTML page of a run, also of one that was killed or goes on. Needs `penstock-batch[report]`.

    Of a pipeline, by its TOML; or of any program or gateway, by its record of events, as the sink jsonl writes it: one
    file, or the parts of one, also packed with gzip.

    Exit code: 0, 1 if the page cannot be written, 2 for a wrong configuration, or for files that are no such record.
    """
    from penstock_batch.report.commands import record_command, record_text_command, report_command, text_command

    pipelines = [path for path in files if path.suffix == ".toml"]
    if pipelines and len(files) > 1:
        raise click.UsageError("one pipeline's TOML, or one or more files of a record")
    if text and (rows is not None or context.get_parameter_source("output") is ParameterSource.COMMANDLINE):
        raise click.UsageError("--text prints no rows and writes no page: leave --rows and --output out")
    if pipelines and text:
        raise SystemExit(text_command(files[0], run=number))
    if pipelines:
        raise SystemExit(report_command(files[0], output, run=number, rows=100 if rows is None else rows))
    if rows is not None:
        raise click.UsageError("--rows is for a pipeline: a record of events has no rows")
    if text:
        raise SystemExit(record_text_command(files, run=number))
    raise SystemExit(record_command(files, output, run=number))
