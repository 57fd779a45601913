"""The settings of a plugin, by a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from penstock.config.names import configured_names
from penstock.config.reading import PenstockConfig
from penstock.tasks.records import SUBMISSION
from penstock.words.settings import Settings

__all__ = ["settings_of"]


def settings_of(config: PenstockConfig, plugin: str, section: Any, facts: Mapping[str, Any]) -> Settings:
    """The settings of a plugin by a configuration; `facts` go before what it says."""
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
