"""What a configuration names that is not there: in the tables of plugins, as they say it, and in those of the core."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from penstock.config.names import configured_names, group_problems
from penstock.config.reading import PenstockConfig
from penstock.plugins.hook_calls import BoundHook
from penstock.plugins.loading import describe_error
from penstock.tasks.records import SUBMISSION
from penstock.words.errors import PluginError
from penstock.words.problems import Problem
from penstock.words.settings import Settings

__all__ = ["CHECK_NAMES", "name_problems", "settings_of"]

CHECK_NAMES = "penstock_check_names"


def settings_of(config: PenstockConfig, plugin: str, section: Any, facts: Mapping[str, Any]) -> Settings:
    """What a plugin is given of a configuration; `facts` go before what it says."""
    scheduler = config.scheduler
    limits = MappingProxyType({SUBMISSION: scheduler.submission_capacity, **scheduler.resources})
    providers, models = configured_names(config.providers)
    said = {
        "limits": limits,
        "seed": scheduler.seed,
        "providers": MappingProxyType(providers),
        "models": MappingProxyType(models),
    }
    return Settings(plugin=plugin, section=section, **{**said, **facts})


def name_problems(
    config: PenstockConfig, hooks: Iterable[BoundHook], sections: Mapping[str, Any], facts: Mapping[str, Any]
) -> list[Problem]:
    """Every name that is not known, in the tables of the core and of plugins. `sections` has each plugin's `Config`.

    `facts` may have other `providers` and `models` than the configuration. Raises `PluginError` for a plugin that
    cannot say.
    """
    core = settings_of(config, "core", None, facts)
    found = list(group_problems(config.scheduler.admitted_limits, core, config.source))
    for hook in hooks:
        path = ("plugins", hook.plugin)
        try:
            unknown = list(hook(settings=settings_of(config, hook.plugin, sections.get(hook.plugin), facts)) or ())
            found += [Problem((*path, *problem.path), problem.what, config.source) for problem in unknown]
        except Exception as error:
            raise PluginError(hook.plugin, f"{CHECK_NAMES} failed: {describe_error(error)}") from error
    return found
