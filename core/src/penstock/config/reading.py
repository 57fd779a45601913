"""The configuration file as typed records.

`structuring.py` does the strict building; this module says what there is, what makes sense, and where a
file's tables go: those that Penstock knows become a `PenstockConfig`, each `[plugins.NAME]` table is kept
for its plugin, and a program that has tables of its own in the same file names their types
(`extra_tables`). All problems of a file are reported together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any, Final, Literal, get_args, get_origin

import attrs

from penstock.config.key_checks import a_share, at_least_one, distinct_names, each_at_least_one, not_below, seconds
from penstock.config.structuring import structure
from penstock.config.toml_reading import read_toml
from penstock.config.words import did_you_mean, is_list_type, probably_meant, unknown, value_in_words
from penstock.words.checks import a_name, shown
from penstock.words.errors import ConfigError
from penstock.words.identity import RequestDomain
from penstock.words.problems import PathParts, Problem

__all__ = [
    "LoadedConfig",
    "ModelConfig",
    "PenstockConfig",
    "PluginLists",
    "ProviderConfig",
    "RequestsConfig",
    "SchedulerConfig",
    "SinksConfig",
    "load_config",
]


@attrs.frozen(kw_only=True)
class SchedulerConfig:
    """`[scheduler]`: the task gate. Durations in seconds."""

    submission_capacity: int = attrs.field(default=1024, validator=at_least_one)
    """How many tasks may be admitted at a time, whatever else they need."""
    resources: dict[str, int] = attrs.field(factory=dict, validator=each_at_least_one)
    """`[scheduler.resources]`: limits of scheduler-owned resources beside `submission`."""
    admitted_limits: dict[str, int] = attrs.field(factory=dict, validator=each_at_least_one)
    """`[scheduler.admitted_limits]`: group identity (parts joined by `/`) to how many run before others come first."""
    runners: dict[str, str] = attrs.field(factory=dict)
    """`[scheduler.runners]`: group identity to the runner of its tasks that name none."""
    seed: int = 0
    """Of all random numbers of a run: each plugin has a stream of its own."""
    stall_timeout: float = attrs.field(default=300.0, validator=seconds())
    """How long to wait for a signal when nothing else could let work go on, or for a plugin that failed."""
    shutdown_grace: float = attrs.field(default=30.0, validator=seconds(zero=True))
    """How long tasks that run may go on after the run was told to end."""
    max_attempts: int = attrs.field(default=3, validator=at_least_one)
    """How often a task is tried whose failure may be retried."""
    retry_backoff: float = attrs.field(default=1.0, validator=seconds())
    """The pause before a task is tried again; it doubles each time."""
    retry_backoff_max: float = attrs.field(default=60.0, validator=[seconds(), not_below("retry_backoff")])
    """The longest such pause."""
    request_pressure: Literal["advise", "ignore"] = "advise"
    """Whether tasks step back whose provider is cooling down or full."""
    health_interval: float = attrs.field(default=10.0, validator=seconds(zero=True))
    """Between two events of how the run stands; 0: none."""
    watchdog: float | None = attrs.field(default=None, validator=seconds(zero=True))
    """Seconds; without it, `penstock run` takes 0.25, and a program of one's own has no watchdog."""
    explain_socket: bool | None = None
    """Whether `penstock explain` is answered; without it, `penstock run` does, and a program of one's own does not."""

    @resources.validator
    def _submission_has_a_key_of_its_own(self, _: attrs.Attribute[Any], value: Mapping[str, int]) -> None:
        if "submission" in value:
            what = "is limited by scheduler.submission_capacity; put the number there"
            raise ConfigError(Problem(("resources", "submission"), what))
        if "" in value:
            raise ConfigError(Problem(("resources",), "holds an empty name"))


@attrs.frozen(kw_only=True)
class RequestsConfig:
    """`[requests]`: the request gate. Durations in seconds; a `queue_wait_timeout` of 0 means now or never."""

    queue_wait_timeout: float | None = attrs.field(default=None, validator=seconds(zero=True))
    """How long a call waits for its turn; 0: now or never. Without it, as long as it takes."""
    stall_timeout: float = attrs.field(default=300.0, validator=seconds())
    """How long a call waits at most for a plugin that could not answer."""
    max_attempts: int = attrs.field(default=4, validator=at_least_one)
    """How often a call is made at most."""
    retry_backoff: float = attrs.field(default=1.0, validator=seconds())
    """The pause before a call is made again, where the provider names none; it doubles each time."""
    retry_backoff_max: float = attrs.field(default=30.0, validator=[seconds(), not_below("retry_backoff")])
    """The longest such pause."""
    retry_after_max: float = attrs.field(default=300.0, validator=seconds())
    """The longest pause that a provider can ask for, on any status."""
    unpaid_timeout: float = attrs.field(default=120.0, validator=seconds())
    """How long a call without a deadline is tried again after failures that surely cost nothing."""
    retry_on: list[Literal["rate_limited", "provider_failure", "provider_timeout", "unexpected_exception"]] = (
        attrs.field(factory=lambda: ["rate_limited", "provider_failure", "provider_timeout"])
    )
    """The outcomes after which a call is made again."""
    retry_budget: float | None = attrs.field(default=None, validator=a_share)
    """The share of all calls at a provider that may be retries; without it, there is no bound."""


@attrs.frozen(kw_only=True)
class SinksConfig:
    """`[sinks]`: how events reach plugins. A sink that fails `failures` times is disabled."""

    failures: int = attrs.field(default=10, validator=at_least_one)
    """How many errors in a row disable a sink."""


@attrs.frozen(kw_only=True)
class ModelConfig:
    """`[providers.P.models.M]`: `M` is the name used in the configuration, `model` the provider's own id
    (default: `M`). `price` decides nothing here.
    """

    max_parallel_requests: int = attrs.field(validator=at_least_one)
    """How many calls may be out at a time."""
    model: str | None = None
    """The provider's own id of the model, where it is not the name used here."""
    domain_caps: dict[str, int] = attrs.field(factory=dict, validator=each_at_least_one)
    """The same for one kind of call, as chat or embedding."""
    price: dict[str, float] | None = None
    """For a million tokens of each kind; for programs that count money."""


@attrs.frozen(kw_only=True)
class ProviderConfig:
    """`[providers.P]`: who is called. `penstock run` knows the kinds `anthropic` and `gemini` too."""

    kind: str = "openai"
    """`openai` (any endpoint that speaks that protocol), `mock` (the embedded one), or what else a program knows."""
    base_url: str | None = None
    """Where it answers."""
    api_key_env: str | None = None
    """The environment variable that holds the key."""
    auth_header: str | None = None
    """The header for the key, where it is not the usual one of the kind."""
    headers: dict[str, str] = attrs.field(factory=dict)
    """Further headers, each by its name to the environment variable of its value."""
    domains: list[str] = attrs.field(factory=list, validator=distinct_names)
    """Kinds of call beside chat, embedding, image and healthcheck."""
    models: dict[str, ModelConfig] = attrs.field(factory=dict)
    """The models, by the names that the configuration and programs use. Two may lead to one model id."""
    options: dict[str, object] = attrs.field(factory=dict)
    """For the provider's kind: for `mock` the true limits per model."""

    @models.validator
    def _caps_are_of_known_domains(self, _: attrs.Attribute[Any], value: Mapping[str, ModelConfig]) -> None:
        known = {*map(str, RequestDomain), *self.domains}
        wrong = [
            Problem(
                ("models", name, "domain_caps", domain), f"is no domain of this provider; {did_you_mean(domain, known)}"
            )
            for name, model in value.items()
            for domain in model.domain_caps
            if domain not in known
        ]
        if wrong:
            raise ConfigError(wrong)


@attrs.frozen(kw_only=True)
class PluginLists:
    """The lists under `[plugins]`; the order of a list is the order of asking. `None`: the default stack."""

    ready_queue: str | None = None
    """Whose order ready tasks start in; `fifo` is the core's own."""
    request_waiters: str | None = None
    """Whose order waiting calls go out in; `fifo` is the core's own."""
    task_runners: list[str] | None = attrs.field(default=None, validator=distinct_names)
    """Runners of tasks that name them; `nursery`, the core's own, is always there."""
    task_policies: list[str] | None = attrs.field(default=None, validator=distinct_names)
    """Policies and rules that are asked, in this order, whether a task may start."""
    request_limiters: list[str] | None = attrs.field(default=None, validator=distinct_names)
    """Limiters and rules that are asked, in this order, whether a call may go out."""
    sinks: list[str] | None = attrs.field(default=None, validator=distinct_names)
    """Who is given the events of a run."""
    load: list[str] = attrs.field(factory=list, validator=distinct_names)
    """Python files that are plugins, relative to this file."""
    required: list[str] = attrs.field(factory=list, validator=distinct_names)
    """Plugins that must be there and importable; so is one made active that has only hooks without a list."""
    allow: list[str] | None = attrs.field(default=None, validator=distinct_names)
    """The plugins that may be used at all; of no other is any code run. Without it, whatever the lists name."""
    disabled: list[str] = attrs.field(factory=list, validator=distinct_names)
    """Plugins that are not used, whatever the lists name."""
    trace: float = attrs.field(default=0.0, validator=a_share)
    """The share of tasks and calls of which it is traced whom the gates asked, and what he answered."""
    trace_file: str | None = None
    """Where each of these questions is written as a line of JSON; without it there are figures alone."""


@attrs.frozen(kw_only=True)
class PenstockConfig:
    """The whole configuration file. `sections` are the `[plugins.NAME]` tables, not structured yet: each plugin has its
    own `Config`.

    `source` is the file as messages name it; `folder` is what the paths of `plugins.load` are relative to.
    """

    scheduler: SchedulerConfig = SchedulerConfig()
    requests: RequestsConfig = RequestsConfig()
    sinks: SinksConfig = SinksConfig()
    providers: dict[str, ProviderConfig] = attrs.field(factory=dict)
    plugins: PluginLists = PluginLists()
    sections: dict[str, dict[str, object]] = attrs.field(factory=dict)
    source: str = "<defaults>"
    folder: Path = Path()
    given: Mapping[str, Any] | None = attrs.field(default=None, eq=False, repr=False)
    """The tables of the core as they were given, each a mapping of keys to values; `None` for a record that was not
    read: then nobody knows what of it was said, and what is the default."""


@attrs.frozen
class LoadedConfig:
    """A configuration file that was read: Penstock's part, and the tables that the caller named, each structured
    into its type."""

    config: PenstockConfig
    extras: Mapping[str, Any] = MappingProxyType({})
    foreign: tuple[str, ...] = ()
    """The tables that nobody named, where these may pass."""


TABLES: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "scheduler": SchedulerConfig,
        "requests": RequestsConfig,
        "sinks": SinksConfig,
        "providers": dict[str, ProviderConfig],
    }
)


def load_config(
    source: PenstockConfig | Path | str | Mapping[str, Any] | None,
    *,
    extra_tables: Mapping[str, Any] = MappingProxyType({}),
    foreign_tables: bool = False,
) -> LoadedConfig:
    """The configuration in a TOML file (a path), or in a mapping of the same form; `None` gives the defaults, a
    `PenstockConfig` itself.

    `extra_tables` maps a top-level table to its type: an attrs class, `list[Class]` for an array of tables,
    a `dict`, or any of these `| None`. One that the file leaves out is built from nothing, so that a class
    with only defaults needs no table. `foreign_tables` lets other tables pass, which are some other
    program's, but for a name that is nearly one of ours. Raises `ConfigError` with all problems.

    >>> table = {"scheduler": {"submission_capacity": 8}, "job": {"n": 2}}
    >>> load_config(table, extra_tables={"job": dict[str, int]}).extras["job"]
    {'n': 2}
    >>> load_config({"scheduler": {"max_attempt": 0}})
    Traceback (most recent call last):
        ...
    penstock.words.errors.ConfigError: <mapping>: scheduler.max_attempt: unknown key; did you mean 'max_attempts'?
    """
    if isinstance(source, PenstockConfig):
        return LoadedConfig(source, _Reading({}, source.source).extras(extra_tables))
    if source is None:
        data, name, folder = {}, "<defaults>", Path()
    elif isinstance(source, Mapping):
        data, name, folder = dict(source), "<mapping>", Path()
    elif not isinstance(source, Path | str):
        raise ConfigError(f"config must be the path of a TOML file or a mapping, not {shown(source)}")
    else:
        a_name(str(source), "config")
        data, name, folder = read_toml(source), str(source), Path(source).parent
    reading = _Reading(data, name)
    tables = {key: reading.table(key, kind) for key, kind in TABLES.items() if key in data}
    reading.problems += _names_of_nothing(tables.get("providers") or {}, name)
    lists, sections = reading.plugins()
    extras = reading.extras(extra_tables)
    foreign = reading.others({*TABLES, "plugins", *extra_tables}, pass_=foreign_tables)
    if reading.problems:
        raise ConfigError(reading.problems)
    given = {key: data[key] for key in TABLES if key in data}
    return LoadedConfig(
        PenstockConfig(**tables, plugins=lists, sections=sections, source=name, folder=folder, given=given),
        extras,
        foreign,
    )


def _names_of_nothing(providers: Mapping[str, ProviderConfig], source: str) -> Iterator[Problem]:
    """The providers and models whose names no call could say: `provider/model`, all after the first slash the model."""
    for name, provider in providers.items():
        if not name or "/" in name:
            yield Problem(("providers", name), "must be a name that is not empty and has no slash", source)
        if "" in provider.models:
            yield Problem(("providers", name, "models"), "holds an empty name", source)


def _nothing(kind: Any) -> object:
    """The value of a table of this type that the file leaves out."""
    if NoneType in get_args(kind):
        return None
    return [] if is_list_type(get_origin(kind) or kind) else {}


class _Reading:
    """The reading of one file, which takes its tables apart and collects their problems."""

    def __init__(self, data: Mapping[str, Any], source: str) -> None:
        self._data = data
        self._source = source
        self.problems: list[Problem] = []

    def _structure(self, data: object, kind: Any, path: PathParts) -> Any:
        try:
            return structure(data, kind, source=self._source, path=path)
        except ConfigError as error:
            self.problems += error.records

    def table(self, key: str, kind: Any) -> Any:
        return self._structure(self._data[key], kind, (key,))

    def extras(self, kinds: Mapping[str, Any]) -> Mapping[str, Any]:
        tables = {key: self._data.get(key, _nothing(kind)) for key, kind in kinds.items()}
        return MappingProxyType({key: self._structure(tables[key], kind, (key,)) for key, kind in kinds.items()})

    def plugins(self) -> tuple[PluginLists, dict[str, dict[str, object]]]:
        table = self._data.get("plugins", {})
        names = {field.name for field in attrs.fields(PluginLists)}
        if not isinstance(table, Mapping):
            what = f"must be a table, not {value_in_words(table)}"
            self.problems.append(Problem(("plugins",), what, self._source))
            return PluginLists(), {}
        of_plugins = {key: value for key, value in table.items() if isinstance(value, Mapping) and key not in names}
        rest = {key: value for key, value in table.items() if key not in of_plugins}
        lists = self._structure(rest, PluginLists, ("plugins",))
        if rest.get("trace_file") is not None and "trace" not in rest:
            what = (
                "is of a trace that nobody asks for: say how much is traced, as trace = 0.01, or trace = 0 for nothing"
            )
            self.problems.append(Problem(("plugins", "trace_file"), what, self._source))
        return lists, {str(key): dict(value) for key, value in of_plugins.items()}

    def others(self, known: set[str], *, pass_: bool) -> tuple[str, ...]:
        """The tables that nobody named; they are problems, or if they may pass, those that are nearly ours."""
        passed = []
        for key in self._data:
            if key in known:
                continue
            if pass_ and probably_meant(str(key), known) is None:
                passed.append(str(key))
            else:
                self.problems.append(Problem(*unknown("table", str(key), known), self._source))
        return tuple(passed)
