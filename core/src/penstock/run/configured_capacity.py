"""What a run is configured to, each figure with who says it: the configured part of the capacity plan. Pure.

A figure is the run's configuration's if that gives it, and the default if nothing does. What differs from both, the
program that opened the run has changed; and what only the gates know of, it has registered.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from penstock.config.reading import PenstockConfig, RequestsConfig, SchedulerConfig
from penstock.config.words import is_secret
from penstock.requests.observed import RequestMaxima
from penstock.requests.pressure import ModelRequestPressureSnapshot
from penstock.run.configured import caps_of
from penstock.tasks.records import SUBMISSION
from penstock.words.capacity import CapacityValue, ConfiguredCapacity
from penstock.words.identity import ProviderModelKey

__all__ = ["NO_POOL", "NO_ROWS", "Declared", "configured_capacity"]

Declared = Mapping[str, Any]
"""What a program declares of its run: names of `ConfiguredCapacity` to a value, or to a mapping of values."""

_NOT_SAID: Final = object()
_SOURCES: Final = {"<mapping>": "the program's configuration", "<defaults>": "the program's configuration"}
NO_ROWS: Final = "no program has told of rows: this run is tasks and calls"
NO_POOL: Final = (
    "no transport has told of its pool; those of penstock-httpx and penstock-wire have no limit of their own"
)


def configured_capacity(
    config: PenstockConfig,
    generation: int,
    limiters: Mapping[str, Any],
    deciding: Sequence[str],
    limits: Mapping[str, int],
    models: Mapping[ProviderModelKey, ModelRequestPressureSnapshot],
    maxima: RequestMaxima,
    declared: Declared,
) -> ConfiguredCapacity:
    """The configured part of a plan.

    `limiters` are the plugins that limit calls, with the `Config` of each, `deciding` all that may refuse; `limits` are
    those of the task gate, `models` and `maxima` what the request gate knows, `declared` what the program says.
    """
    said = _Said(config, generation)
    no_rows = CapacityValue(None, "dataset_builder", missing_reason=NO_ROWS)
    figures: dict[str, Any] = {
        "buffer_size": no_rows,
        "row_group_admission": no_rows,
        "submission_capacity": said.of_the_scheduler(("submission_capacity",), limits[SUBMISSION]),
        "plugins": said.plugins(deciding),
        "task_resource_limits": {
            name: said.of_the_scheduler(("resources", name), limit)
            for name, limit in limits.items()
            if name != SUBMISSION
        },
        "group_admitted_limits": {
            name: said.of_the_scheduler(("admitted_limits", name), limit)
            for name, limit in config.scheduler.admitted_limits.items()
        },
        "request_resources": {
            str(key): said.cap(key.provider_model, each.cap, key.domain) for key, each in maxima.resources.items()
        },
        "provider_model_static_caps": {str(key): said.cap(key, model.cap) for key, model in models.items()},
        "request_domain_initial_limits": dict(_initial_limits(said, models, maxima)),
        "request_admission_config": dict(_admission(said, limiters)),
        "transport_pool_limits": {"transport": CapacityValue(None, "adapter_config", missing_reason=NO_POOL)},
    }
    return ConfiguredCapacity(**{**figures, **declared})


class _Said:
    """Who says what, by one configuration."""

    def __init__(self, config: PenstockConfig, generation: int) -> None:
        self._config = config
        self._again = f", by reconfiguration {generation - 1}" if generation > 1 else ""
        self._caps = caps_of(config.providers)
        self.requests = config.requests

    def figure(self, path: Sequence[str], value: object, given: object, default: object) -> CapacityValue:
        """A figure at this path, which is `given` there, or not, and `default` if it is not."""
        key = ".".join(path)
        reason = f"{key} is not set: nothing bounds it by that" if value is None else None
        if given is not _NOT_SAID and given == value:
            return CapacityValue(value, "run_config", None, reason, self.place(key))
        if given is _NOT_SAID and value == default:
            return CapacityValue(value, "default", key, reason)
        if given is _NOT_SAID and self._config.given is None:
            return CapacityValue(value, "run_config", None, reason, self.place(key))
        told = "the program that opened the run"
        if given is not _NOT_SAID:
            told += f"; {self.place(key)} says {given}"
        return CapacityValue(value, "engine_internal_config", None, reason, told)

    def place(self, key: str) -> str:
        """Where this key stands, in words."""
        source = self._config.source
        return f"{_SOURCES.get(source, source)}: {key}{self._again}"

    def of_the_scheduler(self, path: tuple[str, ...], value: int) -> CapacityValue:
        """A figure of `[scheduler]`."""
        default = SchedulerConfig().submission_capacity if path == ("submission_capacity",) else _NOT_SAID
        return self.figure(("scheduler", *path), value, self.given("scheduler", *path), default)

    def of_the_requests(self, name: str, value: object) -> CapacityValue:
        """A figure of `[requests]`."""
        return self.figure(("requests", name), value, self.given("requests", name), getattr(RequestsConfig(), name))

    def given(self, *path: str) -> object:
        """What the configuration gives there, as it was given."""
        return _at(self._config.given or {}, path)

    def in_section(self, name: str, path: Sequence[str], value: object) -> CapacityValue:
        """A figure of a plugin's table. What its `Config` makes of what was given is the configuration's, too."""
        given = _at(self._config.sections.get(name, {}), path)
        return self.figure(("plugins", name, *path), value, given if given is _NOT_SAID else value, value)

    def cap(self, model: ProviderModelKey, cap: int | None, domain: str | None = None) -> CapacityValue:
        """The cap of a model, or of one domain of it."""
        if cap is None:
            return CapacityValue(None, "runtime_snapshot", missing_reason="it has no cap")
        known = self._caps.get(model)
        own = None if known is None or domain is None else known.domain_caps.get(domain)
        if known is None or cap not in (known.static.cap, own):
            return CapacityValue(cap, "runtime_snapshot", where="registered by the program")
        aliases = [name for name, raw in known.static.raw_caps.items() if raw == known.static.cap]
        table = f"providers.{model.provider_name}.models.{aliases[0]}"
        if own is not None and cap == own < known.static.cap:
            named = [
                name
                for name in known.static.raw_caps
                if self._config.providers[model.provider_name].models[name].domain_caps.get(str(domain)) == own
            ]
            table = f"providers.{model.provider_name}.models.{named[0]}"
            return CapacityValue(cap, "run_config", None, None, self.place(f"{table}.domain_caps.{domain}"))
        several = len(known.static.raw_caps)
        smallest = f", the smallest of {several} names of this model" if several > 1 else ""
        fallback = None if domain is None else f"{table}.domain_caps.{domain}"
        return CapacityValue(cap, "run_config", fallback, None, self.place(f"{table}.max_parallel_requests") + smallest)

    def plugins(self, names: Sequence[str]) -> CapacityValue:
        """The plugins that may refuse."""
        if not names:
            reason = "no plugin decides anything: only limits and caps do"
            return CapacityValue(None, "run_config", missing_reason=reason)
        return CapacityValue([*names], "run_config", None, None, "what they refuse: explain")

    def has_section(self, plugin: str) -> bool:
        """Whether the configuration has a table for this plugin."""
        return bool(self._config.sections.get(plugin))


def _at(table: object, path: Sequence[str]) -> object:
    for key in path:
        if not isinstance(table, Mapping) or key not in table:
            return _NOT_SAID
        table = table[key]
    return table


def _initial_limits(
    said: _Said, models: Mapping[ProviderModelKey, ModelRequestPressureSnapshot], maxima: RequestMaxima
) -> Iterator[tuple[str, CapacityValue]]:
    for key, each in maxima.resources.items():
        cap = said.cap(key.provider_model, each.cap, key.domain)
        if each.began is None:
            yield str(key), attrs.evolve(cap, fallback_from="plugins.request_limiters")
            continue
        table = f"plugins.{each.began.plugin}"
        if each.began.limit == each.cap:
            yield str(key), attrs.evolve(cap, fallback_from=table)
        elif said.has_section(each.began.plugin):
            yield str(key), CapacityValue(each.began.limit, "run_config", None, None, said.place(table))
        else:
            yield str(key), CapacityValue(each.began.limit, "default", table)
    for model, snapshot in models.items():
        if not snapshot.domains:
            reason = "nothing has been called of it: the limit of a domain begins with its first call"
            yield str(model), CapacityValue(None, "runtime_snapshot", missing_reason=reason)


def _admission(said: _Said, limiters: Mapping[str, Any]) -> Iterator[tuple[str, CapacityValue]]:
    requests = said.requests
    for field in attrs.fields(RequestsConfig):
        yield f"requests.{field.name}", said.of_the_requests(field.name, getattr(requests, field.name))
    for name, config in limiters.items():
        if attrs.has(type(config)):
            for path, value in _leaves((), attrs.asdict(config)):
                yield ".".join(("plugins", name, *path)), said.in_section(name, path, value)


def _leaves(path: tuple[str, ...], value: object) -> Iterator[tuple[tuple[str, ...], object]]:
    """The figures below a path; what is no number, word or list of them is told by its type, and secrets are not."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves((*path, str(key)), each)
    elif is_secret(value, path):
        yield path, "(not shown)"
    elif isinstance(value, list | tuple | set | frozenset):
        yield path, [_plain(each) for each in value]
    else:
        yield path, None if value is None else _plain(value)


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, bool | int | float | str) else type(value).__name__
