"""The command `penstock check`: what is wrong with a TOML file, asked of whose file it is; else by a dry run."""

from __future__ import annotations

from pathlib import Path

import click

from penstock.cli.command_line import CommandLine
from penstock.config.reading import load_config
from penstock.config.toml_reading import check_read_again, read_toml
from penstock.plugins.discovery import installed
from penstock.plugins.file_checks import whose_file
from penstock.plugins.manager import PluginManager
from penstock.run.dry_run import dry_run
from penstock.words.file_check import FileCheck
from penstock.words.printable import printable

__all__ = ["check"]

FAULTY = 1


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "--plugin",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Load this Python file as a plugin. May be given several times.",
)
@click.option(
    "--no-plugin",
    "left_out",
    multiple=True,
    metavar="NAME",
    help="Leave this plugin out, whatever the file names. May be given several times.",
)
@click.pass_obj
def check(line: CommandLine, file: Path, files: tuple[Path, ...], left_out: tuple[str, ...]) -> None:
    """Validate a TOML file, a pipeline's or a program's, without calling or writing anything.

    A plugin whose file it is says what it would do. The plugins are made, and their factories tried, as when a run is
    opened. `penstock doctor FILE` says more.

    Exit code: 0 all is well, 1 some of what the file names cannot be used, as rows of a pipeline's input, 2 wrong
    configuration.
    """
    line = CommandLine((*line.plugin_files, *files), (*line.left_out, *left_out))
    check_read_again(file)
    whose = whose_file(file, read_toml(file), line.plugin_files, installed(), left_out=line.left_out)
    if whose.says is not None:
        for error in whose.unable:
            click.echo(f"penstock: {printable(str(error))}", err=True)
    found = whose.check()
    if found is None:
        found = _checked_program(file, line.plugins)
    else:
        config = load_config(file, foreign_tables=True).config
        dry_run(config, PluginManager.from_config(config, extra=line.plugins))
    for text in found.lines:
        click.echo(printable(text))
    for text in found.notes:
        click.echo(printable(text), err=True)
    if found.faulty:
        raise SystemExit(FAULTY)


def _checked_program(file: Path, plugins: tuple[object, ...]) -> FileCheck:
    """What is to be said of a program's file. Raises `ConfigError` and `PluginError`."""
    loaded = load_config(file, foreign_tables=True)
    config = loaded.config
    manager = PluginManager.from_config(config, extra=plugins)
    dry_run(config, manager)
    models = sum(len(provider.models) for provider in config.providers.values())
    lines = [
        f"{file}: providers: {', '.join(config.providers) or 'none'}; models: {models:,}",
        f"plugins: {', '.join(manager.active) or 'none'}",
        *(f"  disabled: {name}: {problem}" for name, problem in manager.problems.items()),
    ]
    if loaded.foreign:
        lines.append(f"tables of other programs: {', '.join(loaded.foreign)}")
    return FileCheck(lines)
