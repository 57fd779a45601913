"""The plugin that adds `penstock serve` and `penstock keys`, and that checks the files of gateways. Imported by every
`penstock` command, so it imports next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penstock import CommandLine, Without, hookimpl

if TYPE_CHECKING:
    from penstock import FileCheck

__all__ = ["GatewayPlugin"]

_KEYS_FILE = click.option(
    "--file",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("keys.json"),
    show_default=True,
    help="The file of salted hashes that gateway.keys_file names.",
)


class GatewayPlugin:
    """A gateway that queues fairly instead of refusing: `penstock serve gateway.toml`, `penstock keys new NAME`."""

    @hookimpl
    def penstock_cli(self, cli: click.Group) -> None:
        """The commands `serve` and `keys`, added to `cli`."""
        cli.add_command(serve)
        cli.add_command(keys)

    @hookimpl
    def penstock_tables(self) -> Mapping[str, Any]:
        """The tables of gateways."""
        from penstock_gateway.loading import TABLES

        return TABLES

    @hookimpl
    def penstock_check(
        self, file: Path, tables: Mapping[str, Any], plugin_files: tuple[Path, ...], left_out: tuple[str, ...]
    ) -> FileCheck | None:
        """What a gateway would serve. A file is one that has `[gateway]`."""
        if "gateway" not in tables:
            return None
        from penstock_gateway.command import check_gateway

        return check_gateway(file, (*plugin_files, *map(Without, left_out)))


@click.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--reload", "reloads", is_flag=True, help="Let the gateway that serves by CONFIG read it again.")
@click.option("--run", "wanted", metavar="ID|PID", help="With --reload: this one, where several serve by CONFIG.")
@click.option("--json", "as_json", is_flag=True, help="With --reload: what changed as a record, for programs.")
@click.pass_context
def serve(context: click.Context, config: Path, reloads: bool, wanted: str | None, as_json: bool) -> None:
    """Serve an OpenAI- and Anthropic-compatible gateway, as a TOML file describes it.

    With --reload, or at SIGHUP, a gateway that runs reads the file again: all of it changes what is served, or nothing,
    and no call is cut. --reload shows what changed, or every problem (exit code 2). SIGTERM or Ctrl+C lets what is
    under way end, for drain_seconds at most; a second one ends it at once.
    """
    if reloads:
        from penstock_gateway.reloading import run_name

        commands = context.find_root().command
        reconfigure = commands.get_command(context, "reconfigure") if isinstance(commands, click.Group) else None
        assert reconfigure is not None, "this is a command of `penstock`"
        context.invoke(reconfigure, file=config, wanted=wanted or run_name(str(config)), as_json=as_json)
        return
    if wanted is not None or as_json:
        raise click.UsageError("--run and --json are for --reload")
    from penstock_gateway.command import serve_command

    line = context.find_object(CommandLine)
    serve_command(config, () if line is None else line.plugins)


@click.group()
def keys() -> None:
    """The keys of a gateway's clients, kept as salted hashes."""


@keys.command()
@click.argument("name")
@_KEYS_FILE
def new(name: str, path: Path) -> None:
    """Make a key for NAME, and print it: this once, since it is kept nowhere."""
    from penstock_gateway.key_file import add_key

    click.echo(add_key(path, name, datetime.now(UTC).date().isoformat()))


@keys.command(name="list")
@_KEYS_FILE
def list_(path: Path) -> None:
    """List the names of the keys, and when each was made."""
    from penstock_gateway.key_file import read_keys

    for key in read_keys(path).values():
        click.echo(f"{key.made}  {key.name}")


@keys.command()
@click.argument("name")
@_KEYS_FILE
def revoke(name: str, path: Path) -> None:
    """Take the key of NAME away. A gateway that runs knows it until `penstock serve FILE --reload`."""
    from penstock_gateway.key_file import revoke_key

    revoke_key(path, name)
    click.echo(f"{name}: revoked")
