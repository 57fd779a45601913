"""The key `shadow` of the configuration, and which plugins can have it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from penstock.config.words import value_in_words
from penstock.words.errors import ConfigError
from penstock.words.problems import Problem

__all__ = ["take_shadow", "unfit_for_shadow"]

SHADOWED: Final = frozenset(
    {"penstock_task_policy", "penstock_task_eligible", "penstock_request_limiter", "penstock_request_eligible"}
)
"""Hooks that can be asked without being heeded."""

HEEDED: Final = {
    "penstock_ready_queue": "it makes the ready queue",
    "penstock_request_waiters": "it makes the queue of waiting calls",
    "penstock_task_runner": "it runs tasks",
    "penstock_classify_outcome": "it classifies outcomes",
    "penstock_promises": "it makes promises",
}
"""Hooks whose answers are used, whatever they are, with what to say of a plugin that has one."""


def take_shadow(section: Mapping[str, object], name: str, source: str) -> tuple[dict[str, object], bool]:
    """A plugin's table without the key `shadow`, and the value of that key. Raises `ConfigError` for what is not a
    bool."""
    rest = dict(section)
    shadow = rest.pop("shadow", False)
    if not isinstance(shadow, bool):
        what = f"must be true or false, not {value_in_words(shadow)}"
        raise ConfigError(Problem(("plugins", name, "shadow"), what, source))
    return rest, shadow


def unfit_for_shadow(hooks: Iterable[str]) -> str | None:
    """The reason why a plugin with these hooks cannot be in shadow; `None` if it can."""
    there = set(hooks)
    for hook, why in HEEDED.items():
        if hook in there:
            return f"this plugin cannot be in shadow, since {why}; take the key out"
    if there & SHADOWED:
        return None
    return "only limiters, policies and rules can be in shadow, and this plugin has none; take the key out"
