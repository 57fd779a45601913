"""The command `penstock schema`: what an editor is to know of the TOML files that are written here."""

from __future__ import annotations

import json
from pathlib import Path

import click

from penstock.cli.command_line import CommandLine
from penstock.config.reading import load_config
from penstock.plugins.barring import plugin_files
from penstock.plugins.discovery import installed
from penstock.plugins.whole_schema import whole_schema
from penstock.words.printable import printable

__all__ = ["schema"]


@click.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Describe the plugins too that this TOML file loads from files.",
)
@click.option("--foreign-tables", is_flag=True, help="Let tables of other programs stand in the file.")
@click.pass_obj
def schema(line: CommandLine, config_file: Path | None, foreign_tables: bool) -> None:
    """Write the JSON Schema (2020-12) of a TOML file, so that an editor completes and checks it.

    It has the core's tables, those of every installed plugin, and those of pipelines, gateways and workers where their
    plugins are installed; each key with type, default, range and help. Imports every plugin: one that cannot be
    imported is told of on standard error, and its table is left open.

    An editor with taplo (Even Better TOML) finds it by `#:schema ./penstock.schema.json` in the first line of a file.
    """
    config = load_config(config_file, foreign_tables=True).config
    files = plugin_files(config, line.plugins)
    found = whole_schema(installed(), files, foreign_tables=foreign_tables)
    for error in found.unable:
        click.echo(f"penstock: {printable(str(error))}", err=True)
    click.echo(json.dumps(found.schema, indent=2, ensure_ascii=False, allow_nan=False))
