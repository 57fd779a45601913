"""A reconfiguration while the run goes on: everything new is built, what cannot be is found, and only then is
anything changed.

    configuration -> plugins, hooks -> policies, limiters of every scope -> what could then never fit -> swap

Up to the swap nothing has changed, whatever is wrong or raises; the swap decides nothing and cannot fail. There is no
wait between the two, so what was looked at is as it was. What waits is asked anew: tasks and calls whose refusals came
from what is gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os.path import exists, isfile
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from penstock.config.reading import PenstockConfig, SchedulerConfig, load_config
from penstock.plugins.manager import PluginPlan
from penstock.requests.reconfiguring import ModelCaps
from penstock.run.configured import caps_of, name_providers, retry_rules, scheduler_options
from penstock.run.fixed_parts import as_it_is, changes_of_fixed_keys, changes_of_fixed_plugins
from penstock.run.parts import RunParts
from penstock.run.reconfiguration import Change, Reconfiguration
from penstock.tasks.records import SUBMISSION
from penstock.words.errors import ConfigError, PluginError
from penstock.words.identity import ProviderModelKey
from penstock.words.problems import PathParts, Problem

__all__ = ["another_config", "reconfigure"]

NOT_FIGURES: Final = frozenset({"submission_capacity", "resources", "seed", "explain_socket"})
"""Keys of `[scheduler]` that are limits, or fixed."""

_log: Final = logging.getLogger("penstock.run")


@trio.lowlevel.enable_ki_protection  # what a plugin raises is caught, and a real Ctrl+C is not to be among it
def reconfigure(
    parts: RunParts,
    on_figures: Callable[[SchedulerConfig], None],
    config: PenstockConfig | None,
    plugins: Iterable[object] | None,
) -> Reconfiguration:
    """What changed, once it has. `on_figures` is given the figures for what watches the run.

    Raises `ConfigError` with every problem, or `PluginError`; then nothing has changed.
    """
    before = parts.plugins.config
    after = before if config is None else as_it_is(config, before)
    plan = _Plan(parts, before, after, plugins)
    plan.carry_out()
    on_figures(after.scheduler)
    _log.info("run %s is reconfigured: %s", parts.run_id, "; ".join(str(plan.record).splitlines()))
    return plan.record


def another_config(
    source: PenstockConfig | Mapping[str, Any] | Path | str, *, foreign_tables: bool = False
) -> PenstockConfig:
    """The configuration that a run under way is to take. Raises `ConfigError` as `load_config`, and for a path to what
    is no plain file: to wait for what is written into a pipe would hold everybody up.
    """
    if isinstance(source, str | Path) and exists(source) and not isfile(source):
        raise ConfigError(Problem((), "is no plain file, and so cannot be read while a run goes on", str(source)))
    return load_config(source, foreign_tables=foreign_tables).config


class _Plan:
    """Everything that is to be, made whole; raises instead of being half made."""

    def __init__(
        self, parts: RunParts, before: PenstockConfig, after: PenstockConfig, plugins: Iterable[object] | None
    ) -> None:
        self._parts = parts
        self._before, self._after = before, after
        self._promised = parts.plugins.promises
        self._limits = _limits(after)
        self._caps = _changed_caps(before, after)
        wrong = [
            *changes_of_fixed_keys(before, after),
            *self._tasks_that_never_fit(),
            *self._calls_that_never_fit(),
            *self._taken_names(),
        ]
        self._plugins = self._planned_plugins(plugins, wrong)
        wrong += changes_of_fixed_plugins(self._plugins, parts.plugins.chosen.asked)
        if wrong:
            raise ConfigError(wrong)
        hooks, requests = self._plugins.hooks, parts.requests
        # Policies are made anew where the limits are others, since they know those that they were made with.
        self._policies = hooks.make_task_policies(parts.policies.policies if self._limits == _limits(before) else ())
        hooks.see_pressure(requests.pressure)
        makers = hooks.make_request_limiters, hooks.remake_request_limiters
        self._requests = requests.controller.plan(*makers, rule=hooks.request_eligible, caps=self._caps.values())
        self.record = self._recorded()

    def _planned_plugins(self, plugins: Iterable[object] | None, wrong: Sequence[Problem]) -> PluginPlan:
        """The plugins, made. Raises with what is wrong already, too."""
        try:
            held = self._parts.tasks.gate.controller.view().leased_resources
            return self._parts.plugins.plan(self._after, extra=plugins, held=held)
        except (ConfigError, PluginError) as error:
            if not wrong:
                raise
            found = error.records if isinstance(error, ConfigError) else [str(error)]
            raise ConfigError([*wrong, *found]) from error

    # -- what cannot be

    def _tasks_that_never_fit(self) -> Iterator[Problem]:
        for resource, (amount, tasks, first) in self._parts.tasks.book.too_large_for(self._limits).items():
            path: PathParts = ("scheduler", "resources", resource)
            if resource == SUBMISSION:
                path = ("scheduler", "submission_capacity")
            others = f" and {tasks - 1} more" if tasks > 1 else ""
            need = f"task {first!r}{others} could then never run, needing up to {amount}"
            limit = self._limits.get(resource)
            wrong = "cannot be taken out" if limit is None else f"must be at least {amount}, not {limit}"
            yield Problem(path, f"{wrong}: {need}", self._after.source)

    def _calls_that_never_fit(self) -> Iterator[Problem]:
        for caps, domain, requests in self._parts.requests.controller.too_large_for(self._caps.values()):
            name = caps.key.provider_name
            for alias in caps.static.aliases:
                path: PathParts = ("providers", name, "models", alias, "max_parallel_requests")
                cap = caps.static.raw_caps[alias]
                if domain is not None:
                    path = (*path[:-1], "domain_caps", domain)
                    cap = self._after.providers[name].models[alias].domain_caps.get(domain, requests)
                if cap < requests:
                    what = f"must be at least {requests}, not {cap}: a call that waits asks for {requests} at once"
                    yield Problem(path, what, self._after.source)

    def _taken_names(self) -> Iterator[Problem]:
        """Names of models that mean another one since the program has registered it."""
        resolver = self._parts.requests.resolver
        for name, provider in self._after.providers.items():
            for alias, model in provider.models.items():
                known, wanted = resolver.find((name, alias, "chat")).model_id, model.model or alias
                if known not in (alias, wanted):
                    path = ("providers", name, "models", alias)
                    yield Problem(path, f"means {known!r} in this run already; take another name", self._after.source)

    # -- the swap

    def carry_out(self) -> None:
        """The swap: everything comes in its place, and whoever waits is asked again."""
        parts, options = self._parts, self._after.scheduler
        hooks = parts.plugins.carry_out(self._plugins)
        parts.say_promises(besides=self._promised)
        tasks, requests = parts.tasks, parts.requests
        parts.policies.decide_by(self._policies, hooks.task_eligible, heeded=options.request_pressure == "advise")
        tasks.set_figures(scheduler_options(options))
        if self.record.limits:
            tasks.gate.set_limits(self._limits)
        calls = self._after.requests
        requests.set_figures(retry_rules(calls), calls.queue_wait_timeout, calls.stall_timeout)
        name_providers(self._after.providers, requests.resolver)
        parts.check_names_before_calls()
        parts.notes.run_reconfigured(hooks, self._plugins.kept)
        tasks.wake_all_refused()
        requests.carry_out(self._requests, hooks.classify_outcome)
        tasks.signal("reconfigured")

    def _recorded(self) -> Reconfiguration:
        plugins, requests = self._plugins, self._requests
        return Reconfiguration(
            generation=plugins.hooks.generation,
            **{name: getattr(plugins, name) for name in ("added", "removed", "kept", "changed")},
            limiters={name: getattr(requests, name) for name in ("kept", "taken_over", "made", "dropped")},
            caps=dict(_cap_changes(caps_of(self._before.providers), caps_of(self._after.providers))),
            limits=_differing(_limits(self._before), self._limits),
            figures=_figures(self._before, self._after),
        )


def _limits(config: PenstockConfig) -> dict[str, int]:
    return {SUBMISSION: config.scheduler.submission_capacity, **config.scheduler.resources}


def _changed_caps(before: PenstockConfig, after: PenstockConfig) -> dict[ProviderModelKey, ModelCaps]:
    """What differs from the configuration before: what a program has registered by itself stays as it is."""
    old = caps_of(before.providers)
    return {key: caps for key, caps in caps_of(after.providers).items() if caps != old.get(key)}


def _cap_changes(
    before: Mapping[ProviderModelKey, ModelCaps], after: Mapping[ProviderModelKey, ModelCaps]
) -> Iterator[tuple[str, Change]]:
    for key, new in after.items():
        old = before.get(key)
        if old is None or old.static.cap != new.static.cap:
            yield str(key), (None if old is None else old.static.cap, new.static.cap)
        domains = _differing({} if old is None else old.domain_caps, new.domain_caps)
        for domain, change in domains.items():
            yield f"{key}/{domain}", change


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Change]:
    keys = dict.fromkeys((*before, *after))
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def _figures(before: PenstockConfig, after: PenstockConfig) -> dict[str, Change]:
    found: dict[str, Change] = {}
    for table, skipped in (("scheduler", NOT_FIGURES), ("requests", frozenset[str]())):
        old, new = (attrs.asdict(getattr(config, table)) for config in (before, after))
        kept = _differing(*({key: value for key, value in each.items() if key not in skipped} for each in (old, new)))
        found |= {f"{table}.{key}": change for key, change in kept.items()}
    return found
