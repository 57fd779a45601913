"""How `penstock plan` and `penstock report` are called. What is heavy is imported inside the commands."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["plan", "report"]

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
def plan(pipeline: Path, rows: int) -> None:
    """Estimate calls, tokens, cost and time of a run, without calling or writing anything.

    Exit code: 0, or 2 for a wrong configuration.
    """
    from penstock_batch.report.commands import plan_command

    raise SystemExit(plan_command(pipeline, rows=rows))


@click.command()
@_pipeline_argument
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
    "--rows", type=click.IntRange(min=0), default=100, show_default=True, metavar="N", help="Show so many rows."
)
@click.option("--text", is_flag=True, help="Print it instead, without charts and rows; that needs nothing more.")
def report(pipeline: Path, output: Path, number: int | None, rows: int, text: bool) -> None:
    """Make one HTML page of a run, also of one that was killed or goes on. Needs `penstock-batch[report]`.

    Exit code: 0, 1 if the page cannot be written, 2 for a wrong configuration.
    """
    from penstock_batch.report.commands import report_command, text_command

    if text:
        raise SystemExit(text_command(pipeline, run=number))
    raise SystemExit(report_command(pipeline, output, run=number, rows=rows))
