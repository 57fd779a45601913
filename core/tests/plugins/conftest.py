"""Plugin managers, made from tables and from plugins that are given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import attrs
import pytest

from penstock import ConfigError, PluginManager, hookimpl, load_config
from penstock.plugins.discovery import Installed, installed


class Managed(Protocol):
    """Makes a manager of tables and given plugins."""

    def __call__(self, tables: Path | Mapping[str, Any] | None = None, *given: object) -> PluginManager: ...


class Problems(Protocol):
    """What is wrong with tables and given plugins, all of it, without the name of the source."""

    def __call__(self, tables: Path | Mapping[str, Any] | None = None, *given: object) -> list[str]: ...


class Tabled(Protocol):
    """Makes a plugin class of a name, whose table has a `size` of at least 1."""

    def __call__(self, name: str) -> type[Any]: ...


def manager_of(tables: Path | Mapping[str, Any] | None, given: tuple[object, ...], known: Installed) -> PluginManager:
    return PluginManager.from_config(load_config(tables).config, extra=given, installed=known)


def refused(tables: Path | Mapping[str, Any] | None, given: tuple[object, ...], known: Installed) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        manager_of(tables, given, known)
    return [str(attrs.evolve(problem, source="")) for problem in caught.value.records]


@pytest.fixture
def managed() -> Managed:
    """Plugins that are given, beside those that are installed."""
    return lambda tables=None, *given: manager_of(tables, given, installed())


@pytest.fixture
def alone() -> Managed:
    """Plugins that are given, where none is installed."""
    return lambda tables=None, *given: manager_of(tables, given, Installed())


@pytest.fixture
def problems() -> Problems:
    """What is told of plugins that are given, beside those that are installed."""
    return lambda tables=None, *given: refused(tables, given, installed())


@pytest.fixture
def problems_alone() -> Problems:
    """What is told of plugins that are given, where none is installed."""
    return lambda tables=None, *given: refused(tables, given, Installed())


@pytest.fixture
def tabled() -> Tabled:
    @attrs.frozen
    class Knobs:
        size: int = attrs.field(default=1, validator=attrs.validators.ge(1))

    def make(name: str) -> type[Any]:
        class Configured:
            """Has a table."""

            plugin_name = name
            Config = Knobs

            def __init__(self, config: Knobs) -> None:
                self.config = config

            @hookimpl
            def penstock_task_eligible(self, task: Any) -> None: ...

        return Configured

    return make
