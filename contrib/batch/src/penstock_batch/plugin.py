"""The plugin that adds `penstock run` and `penstock check`. Imported whenever one of them is asked for, so it imports
what is heavy inside the commands.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock import hookimpl

if TYPE_CHECKING:
    from penstock import CommandLine
    from penstock_batch.run.progress import ProgressKind

__all__ = ["BatchPlugin"]


class BatchPlugin:
    """Pipelines of model calls and functions over rows, resumable at every cell: `penstock run PIPELINE.toml`."""

    @hookimpl
    def penstock_cli(self, cli: click.Group) -> None:
        """Add the commands `run` and `check`."""
        cli.add_command(run)
        cli.add_command(check)


_plugin_option = click.option(
    "--plugin",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Load this Python file as a plugin. May be given several times.",
)
_pipeline_argument = click.argument("pipeline", type=click.Path(path_type=Path), metavar="PIPELINE.toml")


@click.command()
@_pipeline_argument
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Run the first N rows only.")
@click.option("--overwrite", is_flag=True, help="Start anew: what an earlier run left is removed.")
@_plugin_option
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
    files: tuple[Path, ...],
    progress: ProgressKind,
) -> None:
    """Run a pipeline: rows in, rows out.

    Finished cells are kept as they finish. The same command again goes on where it stopped, and pays for nothing twice.
    Ctrl+C once lets calls in flight come back; twice leaves at once.

    Exit code: 0 all rows done, 1 some rows failed (they are beside the output, with the reason), 2 wrong configuration,
    130 interrupted.
    """
    from penstock_batch.command import run_command

    raise SystemExit(
        run_command(pipeline, limit=limit, overwrite=overwrite, plugins=(*line.plugin_files, *files), progress=progress)
    )


@click.command()
@_pipeline_argument
@_plugin_option
@click.pass_obj
def check(line: CommandLine, pipeline: Path, files: tuple[Path, ...]) -> None:
    """Validate a pipeline, its plugins and its input, without calling or writing anything.

    Exit code: 0 all is well, 1 some rows of the input cannot be read, 2 wrong configuration.
    """
    from penstock_batch.command import check_command

    raise SystemExit(check_command(pipeline, plugins=(*line.plugin_files, *files)))
