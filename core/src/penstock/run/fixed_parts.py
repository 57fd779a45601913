"""What cannot change while a run goes on, and the problems of a configuration that changes it all the same. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from penstock.config.reading import PenstockConfig, ProviderConfig
from penstock.config.words import value_in_words
from penstock.plugins.manager import PluginPlan
from penstock.words.problems import PathParts, Problem

__all__ = ["as_it_is", "changes_of_fixed_keys", "changes_of_fixed_plugins"]

FIXED_POINTS: Final = {
    "ready_queue": "the ready queue holds tasks",
    "request_waiters": "the queue of waiting calls holds calls",
    "task_runners": "the runners run tasks",
    "sinks": "sinks are written to by threads of their own",
}
"""Lists under `[plugins]` whose plugins stay, and why."""

FIXED_KEYS: Final = ("kind", "base_url", "api_key_env", "auth_header", "headers", "options")
"""What of a provider those have read who call it."""

_INSTEAD: Final = "put it back as it was, or let this run end and start another with it"


def as_it_is(config: PenstockConfig, now: PenstockConfig) -> PenstockConfig:
    """The new configuration, with what only `now` says where leaving it out means what the program likes."""
    open_keys = [key for key in ("watchdog", "explain_socket") if getattr(config.scheduler, key) is None]
    unsaid = {key: getattr(now.scheduler, key) for key in open_keys}
    return attrs.evolve(config, scheduler=attrs.evolve(config.scheduler, **unsaid))


def changes_of_fixed_keys(before: PenstockConfig, after: PenstockConfig) -> list[Problem]:
    """What the new configuration changes of the core's tables that cannot be changed."""
    found = [*_figures(before, after), *_providers(before.providers, after.providers)]
    return [Problem(path, what, after.source) for path, what in found]


def changes_of_fixed_plugins(plan: PluginPlan, points: Mapping[str, Any]) -> list[Problem]:
    """What a plan changes of the plugins that must stay; `points` are those asked for each list now."""
    return [Problem(path, what, plan.config.source) for path, what in _plugins(plan, points)]


def _figures(before: PenstockConfig, after: PenstockConfig) -> Iterator[tuple[PathParts, str]]:
    for path, why in (
        (("scheduler", "seed"), "all random numbers of the run come from it"),
        (("scheduler", "explain_socket"), "the socket is opened at the start"),
        (("sinks", "failures"), FIXED_POINTS["sinks"]),
        (("plugins", "trace"), "what is traced is chosen at the start"),
        (("plugins", "trace_file"), "it is opened at the start"),
    ):
        table, key = path
        was, now = getattr(getattr(before, table), key), getattr(getattr(after, table), key)
        if was != now:
            yield path, f"cannot change while the run goes on, since {why}: it is {value_in_words(was)}; {_INSTEAD}"


def _plugins(plan: PluginPlan, points: Mapping[str, Any]) -> Iterator[tuple[PathParts, str]]:
    chosen = plan.plugins.chosen.asked
    found: set[str] = set()
    for key, why in FIXED_POINTS.items():
        was, now = points[key], chosen[key]
        if was != now:
            words = ", ".join(map(repr, was)) or "none"
            yield ("plugins", key), f"cannot change while the run goes on, since {why}: asked are {words}; {_INSTEAD}"
            continue
        for name in [each for each in now if each not in found]:
            made, old = plan.plugins.active.get(name), plan.before.get(name)
            comes_or_goes = (made is None) != (old is None)
            if comes_or_goes or (made is not None and not made.same(old)):
                found.add(name)
                what = "come or go" if comes_or_goes else "change"
                yield ("plugins", name), f"cannot {what} while the run goes on, since {why}; {_INSTEAD}"


def _providers(
    before: Mapping[str, ProviderConfig], after: Mapping[str, ProviderConfig]
) -> Iterator[tuple[PathParts, str]]:
    gone = "cannot be taken out while the run goes on; put it back, with a max_parallel_requests of 1 for little use"
    for name, old in before.items():
        new = after.get(name)
        path: PathParts = ("providers", name)
        if new is None:
            yield path, gone
            continue
        for key in FIXED_KEYS:
            if getattr(old, key) != getattr(new, key):
                yield (*path, key), f"cannot change while the run goes on, since who calls has read it; {_INSTEAD}"
        if missing := [domain for domain in old.domains if domain not in new.domains]:
            yield (*path, "domains"), f"cannot lose {', '.join(missing)} while the run goes on; put it back"
        for model, was in old.models.items():
            if model not in new.models:
                yield (*path, "models", model), gone
            elif (was.model or model) != (new.models[model].model or model):
                known = was.model or model
                what = f"cannot change while the run goes on: it is {known!r}; give another name to another model"
                yield (*path, "models", model, "model"), what
