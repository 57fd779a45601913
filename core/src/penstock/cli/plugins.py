"""The commands `penstock plugins list` and `penstock plugins show`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path

import attrs
import click

from penstock.cli.command_line import CommandLine
from penstock.cli.config_lines import columns, config_lines
from penstock.cli.cost import cost_lines
from penstock.config.reading import PenstockConfig, load_config
from penstock.config.words import did_you_mean
from penstock.plugins.barring import barring, plugin_files
from penstock.plugins.choice import Chosen, choose
from penstock.plugins.contract import CONTRACT
from penstock.plugins.discovery import EntryPointOwner, installed
from penstock.plugins.foreign_code import LOOKED_AT, foreign_code
from penstock.plugins.hook_checks import check_hooks, deprecations, implementations
from penstock.plugins.hookspecs import HOOKS
from penstock.plugins.listing import PluginListing, list_plugins
from penstock.plugins.loading import LoadedPlugin, config_class, import_plugin, load_file
from penstock.plugins.source_hooks import hooks_in_file
from penstock.words.errors import ConfigError, PenstockError, PluginError
from penstock.words.printable import printable

__all__ = ["plugins"]

_CONFIG = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="The TOML file to go by."
)


@click.group()
def plugins() -> None:
    """Look at plugins: what is installed, what is used, and why."""


@plugins.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, an object per plugin.")
@_CONFIG
@click.pass_obj
def list_command(line: CommandLine, as_json: bool, config_file: Path | None) -> None:
    """List the plugins there are, with state, hooks and order. Imports none of them."""
    loaded = load_config(config_file, foreign_tables=True)
    listing = list_plugins(loaded.config, line.plugins, installed())
    if as_json:
        click.echo(json.dumps([attrs.asdict(row) for row in listing.rows], indent=2))
    else:
        click.echo("\n".join(_listing_lines(listing)))
        if loaded.foreign:
            click.echo(f"\nTables of other programs: {', '.join(loaded.foreign)}")
    if listing.problems:
        raise ConfigError(listing.problems)


def _listing_lines(listing: PluginListing) -> Iterator[str]:
    cells = [("NAME", "DISTRIBUTION", "VERSION", "STATE", "HOOKS", "ORDER", "TIER", "WHY")]
    cells += [
        (
            row.name,
            row.distribution or "-",
            row.version or "-",
            row.state,
            "-" if row.state in ("missing", "clash") else _hooks_in_short(row.hooks),
            ", ".join(f"{key} {place}" for key, place in row.order.items()) or "-",
            row.tier or "-",
            row.why,
        )
        for row in listing.rows
    ]
    yield from columns(cells)
    yield ""
    yield "Asked in this order:"
    yield from columns([(f"  {key}", ", ".join(names) or "none") for key, names in listing.asked.items()])


def _hooks_in_short(hooks: tuple[str, ...] | None) -> str:
    if hooks is None:
        return "? (not known from its source; see plugins show)"
    return ", ".join(hook.removeprefix("penstock_") for hook in hooks) or "-"


@plugins.command("show")
@click.argument("name")
@click.option("--cost", is_flag=True, help="Run a standard load with it: what is it asked, how long does it take?")
@_CONFIG
@click.pass_obj
def show_command(line: CommandLine, name: str, cost: bool, config_file: Path | None) -> None:
    """Show one plugin: what it says of itself, its hooks with their order, and its configuration. Imports it.

    With --cost it is run, by its table in FILE, in virtual time and beside the default stack; nothing is called.
    """
    config = load_config(config_file, foreign_tables=True).config
    there = installed()
    files = {path.stem: path for path in plugin_files(config, line.plugins)}
    if name in files:
        loaded = load_file(files[name])
    elif name in there.plugins:
        loaded = import_plugin(there.plugins[name])
    else:
        hint = did_you_mean(name, {*there.plugins, *files}, otherwise="available are")
        raise ConfigError([f"there is no plugin {name!r}; {hint}", *map(str, there.clashes)])
    bars = barring(config, line.plugins)
    hooks = {stem: hooks_in_file(path) or () for stem, path in files.items() if bars.barred(stem) is None}
    chosen = choose(config, there.plugins, hooks, bars, files)
    owner = None if name in files else there.plugins[name]
    with foreign_code(name, LOOKED_AT, passing=(PenstockError,)):
        lines = list(_show_lines(loaded, owner, chosen, config))
        wrong = check_hooks(loaded.target)
    click.echo("\n".join(map(printable, lines)))
    if wrong:
        raise PluginError(name, "; ".join(wrong))
    if cost:
        click.echo()
        click.echo("\n".join(map(printable, cost_lines(loaded, config, line.plugin_files))))


def _show_lines(
    loaded: LoadedPlugin, owner: EntryPointOwner | None, chosen: Chosen, config: PenstockConfig
) -> Iterator[str]:
    active = ": ".join(filter(None, ("active", chosen.why(loaded.name))))
    yield f"{loaded.name} ({loaded.origin})"
    barred = chosen.barred.get(loaded.name)
    unused = "available, not used" if barred is None else f"disabled: {barred}"
    yield f"  {active if loaded.name in chosen.names() else unused}"
    if owner is not None and owner.contract is not None:
        yield f"  written for version {owner.contract} of the contract; this core has {CONTRACT}"
    if owner is not None and owner.tier is not None:
        yield f"  tier: {owner.tier}"
    doc = inspect.getdoc(loaded.target)
    if doc:
        yield ""
        yield from doc.split("\n")
    yield ""
    yield "Hooks"
    places = chosen.places(loaded.name)
    rows = [
        (f"  {found.hook}", HOOKS[found.hook].kind, _place_in_words(found.hook, places))
        for found in implementations(loaded.target)
        if found.hook in HOOKS
    ]
    yield from columns(rows) if rows else ["  none"]
    yield from (f"  {line}" for line in deprecations(loaded.target))
    yield ""
    yield f"Configuration: [plugins.{loaded.name}]"
    yield from config_lines(config_class(loaded))
    if loaded.name in config.sections:
        keys = ", ".join(config.sections[loaded.name]) or "nothing"
        yield f"  ({config.source} sets {keys})"


def _place_in_words(hook: str, places: dict[str, int]) -> str:
    key = HOOKS[hook].list_key
    if hook == "penstock_cli":
        return "asked when one of its commands is invoked"
    if hook == "penstock_check":
        return "asked by `penstock check` and `penstock doctor`"
    if hook == "penstock_tables":
        return "asked by `penstock schema`"
    if key is None:
        return "has no list: asked of every active plugin"
    return f"{key}: number {places[key]}" if key in places else f"{key}: not named there, so not asked"
