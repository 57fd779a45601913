"""The plugin that adds `penstock mockprovider`. Imported by every `penstock` command, so it imports next to
nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from penstock import hookimpl

if TYPE_CHECKING:
    from penstock_mockprovider.config import MockProviderConfig

__all__ = ["MockProviderPlugin"]

_DEFAULT_MODELS = ("mock-chat", "mock-embedding")


class MockProviderPlugin:
    """An OpenAI-compatible mock provider with real limits: `penstock mockprovider --port 8000 --slots 20`."""

    @hookimpl
    def penstock_cli(self, cli: click.Group) -> None:
        """The command `mockprovider`, added to `cli`."""
        cli.add_command(mockprovider)


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes any free port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option(
    "--config",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML with [models.NAME] tables of limits; instead of the options below.",
)
@click.option("--model", "models", multiple=True, help="A model to serve, with the limits given here.")
@click.option("--slots", type=int, help="Calls at a time.")
@click.option("--queue", is_flag=True, default=None, help="Over the slots, let calls wait instead of refusing them.")
@click.option("--rpm", type=float, help="Requests a minute.")
@click.option("--tpm", type=float, help="Tokens a minute.")
@click.option("--latency", type=float, help="Mean seconds of an answer.")
@click.option("--retry-after", type=float, help="Seconds to wait, sent with a 429.")
@click.option("--headers", is_flag=True, default=None, help="Send x-ratelimit-* on every answer.")
@click.option("--error-rate", type=float, help="Share of calls answered with a 500.")
@click.option("--hang-share", type=float, help="Share of calls never answered.")
@click.option("--key", "keys", multiple=True, help="A key to accept; without any, every key is.")
@click.option("--seed", type=int, help="Of latencies, errors and hangs.")
@click.pass_context
def mockprovider(context: click.Context, /, port: int, host: str, path: Path | None, **options: object) -> None:
    """Serve an OpenAI-compatible mock provider with real limits, until interrupted.

    Every model has the limits given by the options, or its own from --config. What the provider saw is at
    /mock/report, and is printed in short at the end.
    """
    import trio

    from penstock import ConfigError
    from penstock_mockprovider.command import run

    try:
        config = _from_file(path, _given(context, options)) if path else _from_options(options)
        trio.run(run, config, host, port)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None


def _given(context: click.Context, options: Mapping[str, object]) -> list[str]:
    """The options that were given, by the names that people type."""
    return [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in options and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]


def _from_file(path: Path, given: list[str]) -> MockProviderConfig:
    from penstock import ConfigError, read_toml
    from penstock_mockprovider.config import config_from_mapping

    if given:
        raise ConfigError([f"{name} cannot stand beside --config: put it into {path}" for name in given])
    return config_from_mapping(read_toml(path), source=str(path))


def _from_options(options: Mapping[str, object]) -> MockProviderConfig:
    from penstock_mockprovider.config import config_from_mapping

    limits = {name: value for name, value in options.items() if value not in (None, ())}
    table: dict[str, object] = {name: limits.pop(name) for name in ("seed", "keys") if name in limits}
    models = limits.pop("models", _DEFAULT_MODELS)
    assert isinstance(models, tuple)
    if "latency" in limits:
        limits["latency"] = {"mean": limits["latency"]}
    return config_from_mapping({**table, "models": dict.fromkeys(models, limits)})
