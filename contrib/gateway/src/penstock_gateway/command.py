"""What `penstock serve` does, what it says at its start, and what `penstock check` says of its file."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import attrs
import trio

from penstock import ConfigError, FileCheck, PluginManager, Without
from penstock_gateway.call_log import check_log_place
from penstock_gateway.collector import settle_down
from penstock_gateway.loading import ANYBODY, Serving, load_gateway
from penstock_gateway.open_files import raise_most_files
from penstock_gateway.saying import say
from penstock_gateway.server import serve_until_signal
from penstock_gateway.upstreams import check_upstreams

__all__ = ["check_gateway", "serve_command"]


def check_gateway(path: Path, plugins: Sequence[Path | Without]) -> FileCheck:
    """What a file that is valid would serve, and to whom. Raises `ConfigError` and `PluginError`."""
    serving = load_gateway(path, os.environ, plugins)
    check_upstreams(serving.config, os.environ)
    if serving.spending.ledger is not None:
        from penstock_gateway.spending.ledger_file import check_place

        check_place(serving.spending.ledger)
    check_log_place(serving.gateway.log)
    manager = PluginManager.from_config(serving.config, extra=plugins)
    return FileCheck(
        [
            f"{path}: a gateway at {serving.gateway.host}, port {serving.gateway.port}",
            f"models {', '.join(_names(serving))}",
            _whom(serving),
            f"plugins: {', '.join(manager.active) or 'none'}",
        ]
    )


def serve_command(path: Path, plugins: Sequence[Path | Without] = ()) -> None:
    """Serve what a file describes until a signal, with these files of plugins and without those. Raises
    `ConfigError` and `PluginError`.
    """
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a wish to reload that comes before it serves, or at its end
    raise_most_files()
    load = partial(_load_counted, path, plugins)
    serving = load()
    if serving.gateway.workers == 1:
        settle_down()
        trio.run(
            serve_until_signal, serving, os.environ, lambda served: _say(serving, served.url, served.admin_url), load
        )
        return
    if sys.platform != "linux":
        raise ConfigError(f"gateway.workers: {serving.gateway.workers} processes need Linux: set workers = 1")
    from penstock_gateway.processes import serve_by_processes

    serve_by_processes(serving, load, partial(_say, serving))


def _load_counted(path: Path, plugins: Sequence[Path | Without]) -> Serving:
    """A configuration whose workers are counted: one for each core, where it says 0."""
    serving = load_gateway(path, os.environ, plugins)
    if serving.gateway.workers:
        return serving
    return attrs.evolve(serving, gateway=attrs.evolve(serving.gateway, workers=cores()))


def cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _say(serving: Serving, url: str, admin_url: str) -> None:
    """How to call it, to standard error: the standard output is the log's."""
    workers = serving.gateway.workers
    say(f"penstock: serving at {url}{f' by {workers} workers' if workers > 1 else ''}")
    if admin_url:
        say(f"penstock: status at {admin_url}/status, metrics at {admin_url}/metrics")
    models = _names(serving)
    say(f"penstock: models {', '.join(models)}")
    say(f"penstock: {_whom(serving)}")
    say("")
    say(_example(serving, url, next((name for name in models if "embed" not in name), models[0])))


def _names(serving: Serving) -> list[str]:
    return sorted({deployment.name for deployment in serving.models.values()})


def _whom(serving: Serving) -> str:
    keys = "no key is needed" if [*serving.keys] == [ANYBODY] else f"keys {', '.join(sorted(serving.keys))}"
    return f"{keys}; calls wait at most {serving.gateway.queue_wait_timeout:g} s for their turn"


def _example(serving: Serving, url: str, model: str) -> str:
    deployment = serving.models[model]
    path = "messages" if deployment.family == "anthropic" else "chat/completions"
    key = "" if [*serving.keys] == [ANYBODY] else ' -H "Authorization: Bearer $KEY"'
    version = ' -H "anthropic-version: 2023-06-01"' if deployment.family == "anthropic" else ""
    limit = ', "max_tokens": 64' if deployment.family == "anthropic" else ""
    body = f'{{"model": "{model}"{limit}, "messages": [{{"role": "user", "content": "Hello"}}]}}'
    return f"curl {url}/{path}{key}{version} -H 'content-type: application/json' \\\n  -d '{body}'"
