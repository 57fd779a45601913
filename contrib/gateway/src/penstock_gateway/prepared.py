"""What the first process makes ready before it forks: its children find it there, and share its pages."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import suppress

import attrs

from penstock import ConfigError, PluginError, PluginManager, PreparedRun, Problem, prepare_run
from penstock_dialects import dialect_names
from penstock_gateway.loading import Serving
from penstock_gateway.reloading import run_name
from penstock_gateway.upstream_spec import UpstreamSpec, upstream_specs

__all__ = ["Prepared", "prepare"]


@attrs.frozen
class Prepared:
    """What is there at a fork: what is served, the providers, the coordinator's `run`, put together, and the `number`
    of plans that coordinators have told so far. Where there is a ledger, whose file the coordinator opens, only the
    plugins of the run are there, imported, checked and made. After a reload there is none: a coordinator makes its own.
    """

    serving: Serving
    upstreams: Mapping[str, UpstreamSpec]
    run: PreparedRun | PluginManager | None = None
    number: int = 0

    def replaced(self, serving: Serving) -> Prepared:
        """What is there when a coordinator has told its plan."""
        return Prepared(serving, self.upstreams, number=self.number + 1)


def _run(serving: Serving) -> PreparedRun | PluginManager:
    """The run of a coordinator. Its plugins alone where it opens a ledger, or where a factory fails: that may need the
    loop of the coordinator, which tries it again and tells why it fails.
    """
    if serving.spending.ledger is None:
        with suppress(PluginError):
            return prepare_run(serving.config, plugins=serving.plugins, run_id=run_name(serving.config.source))
    return PluginManager.from_config(serving.config, extra=serving.plugins)


def prepare(serving: Serving) -> Prepared:
    """What is there at the first fork. Raises `ConfigError` and `PluginError` for plugins that cannot be made, and for
    providers that cannot be called.
    """
    upstreams = upstream_specs(serving.config, os.environ)
    dialect_names()  # read from the metadata of all distributions, once
    before = {*threading.enumerate()}
    run = _run(serving)
    started = [each.name for each in threading.enumerate() if each not in before]
    if started:
        what = (
            f"a plugin starts a thread where it is imported or made, or in a factory ({', '.join(started)}), which no"
            " process that is forked would have: it must start it in penstock_run_started; or set workers = 1"
        )
        raise ConfigError(Problem(("gateway", "workers"), what, serving.config.source))
    return Prepared(serving, upstreams, run)
