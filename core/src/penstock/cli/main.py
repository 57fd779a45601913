"""The `penstock` command: its own commands, and those that plugins bring.

A plugin that brings commands does two things. It implements `penstock_cli(cli)`, which adds click commands
to the group that it is given. And it names each command under the entry-point group `penstock.commands`,
with the same object as under `penstock.plugins`:

    [project.entry-points."penstock.plugins"]
    batch = "penstock_batch.plugin:BatchPlugin"

    [project.entry-points."penstock.commands"]
    run = "penstock_batch.plugin:BatchPlugin"
    report = "penstock_batch.plugin:BatchPlugin"

So `penstock --help` lists the commands from metadata, and `penstock run` imports the one plugin that has
`run`: a broken plugin breaks its own commands and no others, and starting is quick whatever is installed.
The plugin is made with the defaults of its `Config`, since no configuration file is read yet. Files given
by `--plugin` are loaded at once, being asked for.

Commands get the `CommandLine` by `@click.pass_obj`. They may raise `ConfigError` and `PluginError`: these
go to standard error, with exit code 2 and without a traceback.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import attrs
import click

from penstock.cli.command_line import CommandLine
from penstock.plugins.discovery import Installed, installed
from penstock.plugins.foreign_code import foreign_code
from penstock.plugins.hook_checks import implementations
from penstock.plugins.loading import LoadedPlugin, import_plugin, load_file, make_for_commands
from penstock.words.errors import ConfigError, PenstockError, PluginError
from penstock.words.printable import printable

__all__ = ["cli", "main"]

_OWN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "check": "penstock.cli.check",
        "doctor": "penstock.cli.doctor.command",
        "explain": "penstock.cli.explain",
        "new": "penstock.cli.new.command",
        "plugins": "penstock.cli.plugins",
        "reconfigure": "penstock.cli.reconfigure",
        "schema": "penstock.cli.schema",
        "top": "penstock.cli.top.command",
    }
)
"""The module of each own command, which has it under the command's name. They are imported when they are asked for:
whoever starts another command, as `serve` that runs for months, keeps none of them in memory.
"""


class ReportedMistake(click.ClickException):
    """A mistake of the user's or of a plugin's, on its way to standard error."""

    exit_code = 2

    def __init__(self, errors: list[PenstockError]) -> None:
        super().__init__("\n".join(map(str, errors)))

    def show(self, file: Any = None) -> None:
        for line in self.message.split("\n"):
            click.echo(f"penstock: {printable(line)}", file=file, err=file is None)


class ReportedFailure(ReportedMistake):
    """A failure that is no mistake: the work could not be done."""

    exit_code = 1


def _penstock_errors(error: BaseException) -> list[PenstockError] | None:
    """The errors raised on purpose, also out of a nursery's group; `None` if anything else is among them."""
    if isinstance(error, PenstockError):
        return [error]
    if not isinstance(error, BaseExceptionGroup):
        return None
    inner = [_penstock_errors(each) for each in error.exceptions]
    return None if None in inner else [each for errors in inner for each in errors or ()]


@contextmanager
def _reporting_errors() -> Iterator[None]:
    """A scope in which errors that were raised on purpose end the command with their words alone."""
    try:
        yield
    except Exception as error:
        meant = _penstock_errors(error)
        if meant is None:
            raise
        mistakes = all(isinstance(each, ConfigError | PluginError) for each in meant)
        raise (ReportedMistake if mistakes else ReportedFailure)(meant) from None


_INTERRUPTED: Final = 130
"""The exit code that shells give a command that SIGINT ended."""


class PenstockGroup(click.Group):
    """The top of the command line, which finds a plugin's command by metadata, and imports it when it is invoked."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _reporting_errors():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        ctx.obj = CommandLine(tuple(ctx.params["plugin_files"]), tuple(ctx.params["left_out"]))
        with _reporting_errors():
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt:  # also while a plugin's command is imported
                click.echo("interrupted", err=True)
                raise SystemExit(_INTERRUPTED) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*_OWN, *_installed(ctx).commands, *_of_files(ctx).commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = _own(cmd_name) or _of_files(ctx).commands.get(cmd_name)
        owner = _installed(ctx).commands.get(cmd_name)
        if own is not None or owner is None:
            return own
        name = _installed(ctx).plugin_of(owner)
        plugin = import_plugin(attrs.evolve(owner, name=name))
        command = _commands_of(plugin).get(cmd_name)
        if command is None:
            raise PluginError(name, f"{owner} names the command {cmd_name!r} in its metadata, and does not add it")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`. A plugin's commands are shown with their distribution: their own help would
        need the import."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._command_lines(ctx)))

    def _command_lines(self, ctx: click.Context) -> Iterator[tuple[str, str]]:
        for name in self.list_commands(ctx):
            own = _own(name) or _of_files(ctx).commands.get(name)
            if own is not None:
                yield printable(name), printable(own.get_short_help_str(limit=80))
            else:
                yield printable(name), printable(f"({_installed(ctx).commands[name]})")


def _own(name: str) -> click.Command | None:
    """The own command of this name."""
    if name not in _OWN:
        return None
    command: click.Command = getattr(import_module(_OWN[name]), name)
    return command


def _installed(ctx: click.Context) -> Installed:
    """The metadata, read once per invocation."""
    if "penstock.installed" not in ctx.meta:
        ctx.meta["penstock.installed"] = installed()
    known: Installed = ctx.meta["penstock.installed"]
    return known


def _of_files(ctx: click.Context) -> click.Group:
    """The commands that files given by `--plugin` add. A hook that fails is reported, and the others work."""
    made: click.Group | None = ctx.meta.get("penstock.of_files")
    if made is None:
        made = ctx.meta["penstock.of_files"] = click.Group()
        for path in ctx.find_root().params.get("plugin_files", ()):
            plugin = load_file(path)
            if not any(found.hook == "penstock_cli" for found in implementations(plugin.target)):
                continue
            try:
                made.commands.update(_commands_of(plugin))
            except PluginError as error:
                click.echo(f"penstock: {printable(str(error))}", err=True)
    return made


def _commands_of(plugin: LoadedPlugin) -> MutableMapping[str, click.Command]:
    """The commands of one plugin, which is made with the defaults of its `Config`. Raises `PluginError`."""
    made = make_for_commands(plugin)
    scratch = click.Group()
    for found in implementations(made):
        if found.hook == "penstock_cli":
            with foreign_code(plugin.name, "penstock_cli failed"):
                getattr(made, found.function_name)(scratch)
    return scratch.commands


def _version() -> str:
    try:
        return importlib.metadata.version("penstock-core")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


@click.group(cls=PenstockGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), prog_name="penstock")
@click.option(
    "--plugin",
    "plugin_files",
    multiple=True,
    is_eager=True,  # so that --help knows of the commands that the files add
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Load this Python file as a plugin. May be given several times.",
)
@click.option(
    "--no-plugin",
    "left_out",
    multiple=True,
    metavar="NAME",
    help="Leave this plugin out, whatever the configuration names. May be given several times.",
)
def cli(plugin_files: tuple[Path, ...], left_out: tuple[str, ...]) -> None:
    """Admit work to rate-limited model APIs: which task starts next, and when each call may go out."""


def main() -> None:
    """The entry point of `penstock`."""
    _hold_standard_streams()
    cli(prog_name="penstock")


def _hold_standard_streams() -> None:
    """Put nothing in the place of a standard stream that was closed when the command began: else the next file that is
    opened has its number, and what code prints there, or a program that is started, is written into that file. And
    Python has no stream for it, so that whoever writes there would fail.
    """
    for number, (name, mode) in enumerate({"stdin": "r", "stdout": "w", "stderr": "w"}.items()):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 -- as long as it runs
