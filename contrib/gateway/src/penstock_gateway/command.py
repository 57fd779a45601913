"""What `penstock serve` does, what it says at its start, and what `penstock check` says of its file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
import trio

from penstock import FileCheck, PluginManager
from penstock_gateway.loading import ANYBODY, Serving, load_gateway
from penstock_gateway.server import Gateway, serve_until_signal

__all__ = ["check_gateway", "serve_command"]


def check_gateway(path: Path, plugin_files: Sequence[Path]) -> FileCheck:
    """What a file that is valid would serve, and to whom. Raises `ConfigError` and `PluginError`."""
    serving = load_gateway(path, os.environ)
    manager = PluginManager.from_config(serving.config, extra=plugin_files)
    return FileCheck(
        [
            f"{path}: a gateway at {serving.gateway.host}, port {serving.gateway.port}",
            f"models {', '.join(_names(serving))}",
            _whom(serving),
            f"plugins: {', '.join(manager.active) or 'none'}",
        ]
    )


def serve_command(path: Path) -> None:
    """Serve what a file describes, until a signal. Raises `ConfigError`."""
    serving = load_gateway(path, os.environ)
    trio.run(serve_until_signal, serving, os.environ, partial(_say, serving), partial(load_gateway, path, os.environ))


def _say(serving: Serving, gateway: Gateway) -> None:
    """How to call it, to standard error: the standard output is the log's."""
    click.echo(f"penstock: serving at {gateway.url}", err=True)
    if gateway.admin_url:
        click.echo(f"penstock: status at {gateway.admin_url}/status, metrics at {gateway.admin_url}/metrics", err=True)
    models = _names(serving)
    click.echo(f"penstock: models {', '.join(models)}", err=True)
    click.echo(f"penstock: {_whom(serving)}", err=True)
    click.echo("", err=True)
    click.echo(_example(serving, gateway, next((name for name in models if "embed" not in name), models[0])), err=True)


def _names(serving: Serving) -> list[str]:
    return sorted({deployment.name for deployment in serving.models.values()})


def _whom(serving: Serving) -> str:
    keys = "no key is needed" if [*serving.keys] == [ANYBODY] else f"keys {', '.join(sorted(serving.keys))}"
    return f"{keys}; calls wait at most {serving.gateway.queue_wait_timeout:g} s for their turn"


def _example(serving: Serving, gateway: Gateway, model: str) -> str:
    deployment = serving.models[model]
    path = "messages" if deployment.family == "anthropic" else "chat/completions"
    key = "" if [*serving.keys] == [ANYBODY] else ' -H "Authorization: Bearer $KEY"'
    version = ' -H "anthropic-version: 2023-06-01"' if deployment.family == "anthropic" else ""
    limit = ', "max_tokens": 64' if deployment.family == "anthropic" else ""
    body = f'{{"model": "{model}"{limit}, "messages": [{{"role": "user", "content": "Hello"}}]}}'
    return f"curl {gateway.url}/{path}{key}{version} -H 'content-type: application/json' \\\n  -d '{body}'"
