"""The reader of scenarios from TOML: strict, and with every error of the file at once.

The format is described at the head of `scenarios.toml`, which comes with the package: the scenarios by which request
admission is judged. Other files, with other figures, are read the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

from attrs import Attribute, evolve, field, frozen, validators

from penstock.config.structuring import structure
from penstock.config.toml_reading import read_toml
from penstock.config.words import did_you_mean, value_in_words
from penstock.testing.provider.limits import Latency, ProviderLimits
from penstock.testing.scenarios.scenario import (
    AGAINST_ALONE,
    AT_LEAST,
    AT_MOST,
    Bound,
    LargeCalls,
    QuietStart,
    Scenario,
    Tenant,
    TokenSizes,
)
from penstock.words.checks import is_finite
from penstock.words.errors import ConfigError
from penstock.words.problems import Problem
from penstock.words.validators import number_above, number_from, whole_number_from

__all__ = ["load_scenarios", "scenarios_from"]

_IDEAL_OF_TOKENS: Final = re.compile(r"total true tokens / (\d+(?:\.\d+)?) per second")
_IDEAL_OF_CAPACITY: Final = "time at which the integral of capacity reaches the calls"
_IDEAL_OF_WORK: Final = "time at which the capacity has done the work of the calls"
_WORDS: Final = ("while", "after_seconds")
"""The keys in `must` that are no figures: words for people, and a parameter of `within`."""


def load_scenarios(path: Path | str | None = None) -> dict[str, Scenario]:
    """The scenarios of a file by name, in its order; without a path, those that come with the package.

    Raises `ConfigError` with one line per problem, each naming the file and the dotted key.
    """
    file = files("penstock.testing").joinpath("scenarios.toml") if path is None else path
    return scenarios_from(read_toml(file), str(file))


def scenarios_from(data: Mapping[str, Any], where: str = "scenarios") -> dict[str, Scenario]:
    """The scenarios of a parsed file; `where` names it in errors. Raises `ConfigError` with every problem.

    >>> print(scenarios_from({"one": {"provider": {"slots": 4}, "calls": 10, "must": {"refused": 0.1}}})["one"].calls)
    10
    """
    problems: list[Problem] = []
    defaults = data.get("defaults", {})
    try:
        structure(defaults, _Defaults, source=where, path=("defaults",))
    except ConfigError as error:
        problems += error.records
        defaults = {}
    tables = {
        name: {**defaults, **table} if isinstance(table, Mapping) else table
        for name, table in data.items()
        if name != "defaults"
    }
    try:
        read: dict[str, _ScenarioTable] = structure(tables, dict[str, _ScenarioTable], source=where)
    except ConfigError as error:
        problems += error.records
    if not tables and not problems:
        what = "there is no scenario in it: add a table [name] with provider and must"
        problems.append(Problem((), what, where))
    if problems:
        raise ConfigError(problems)
    return {name: _scenario(name, table, tables[name]) for name, table in read.items()}


def _of_known_figures(_: object, __: Attribute[Any], value: Mapping[str, Any]) -> None:
    wrong = [Problem(("must", key), what) for key, asked in value.items() if (what := _unfit_bound(key, asked))]
    if wrong:
        raise ConfigError(wrong)


@frozen(kw_only=True)
class _Defaults:
    """`[defaults]`: the values of every scenario that does not state its own."""

    latency: Latency = field(default=Latency(1.0, 0.5))
    refusal_latency: float = field(default=0.05, validator=number_from(0))
    cap: int = field(default=64, validator=whole_number_from(1))
    calls: int = field(default=5000, validator=whole_number_from(1))


@frozen(kw_only=True)
class _ScenarioTable(_Defaults):
    """The table of one scenario. Each field is checked where it stands, also against the others."""

    provider: ProviderLimits | None = field(default=None)
    providers: dict[str, ProviderLimits] = field(factory=dict)
    caps: dict[str, int] = field(factory=dict)
    stack: tuple[str, ...] = ()
    plugins: dict[str, dict[str, Any]] = field(factory=dict)
    quiet: QuietStart | None = field(default=None)
    large: LargeCalls | None = field(default=None)
    tokens: TokenSizes | None = None
    tenants: dict[str, Tenant] = field(factory=dict)
    client_timeout: float | None = field(default=None, validator=validators.optional(number_above(0)))
    ideal: float | str = field(default=_IDEAL_OF_CAPACITY)
    must: dict[str, float | tuple[float, float] | str] = field(factory=dict, validator=_of_known_figures)

    @property
    def limits(self) -> Mapping[str, ProviderLimits]:
        """The providers by name; the only one is called `provider`."""
        return self.providers if self.provider is None else {"provider": self.provider}

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """The bounds that `must` sets to figures."""
        return tuple(_bound(figure, value) for figure, value in self.must.items() if figure not in _WORDS)

    @provider.validator
    def _there_is_one(self, _: Attribute[Any], value: ProviderLimits | None) -> None:
        if value is None and not self.providers:
            raise ValueError("must be given: what the provider truly allows, as in { slots = 20 }")

    @providers.validator
    def _one_or_several(self, _: Attribute[Any], value: Mapping[str, ProviderLimits]) -> None:
        if value and self.provider is not None:
            raise ValueError("cannot stand beside provider: name one provider, or several")

    @caps.validator
    def _of_known_providers(self, _: Attribute[Any], value: Mapping[str, int]) -> None:
        known = self.limits
        wrong = [
            Problem(("caps", name), f"unknown key; {did_you_mean(name, known)}")
            if name not in known
            else Problem(("caps", name), f"must be a whole number from 1 on, not {cap}")
            for name, cap in value.items()
            if name not in known or cap < 1
        ]
        if wrong:
            raise ConfigError(wrong)

    @tenants.validator
    def _share_one_provider(self, _: Attribute[Any], value: Mapping[str, Tenant]) -> None:
        if value and len(self.limits) > 1:
            raise ValueError("cannot stand beside several providers")

    @quiet.validator
    def _of_one_caller(self, _: Attribute[Any], value: QuietStart | None) -> None:
        if value is not None and (self.tenants or len(self.limits) > 1):
            raise ValueError("cannot stand beside tenants or several providers")

    @large.validator
    def _too_large_for_the_only_one(self, _: Attribute[Any], value: LargeCalls | None) -> None:
        if value is None:
            return
        if self.tenants or len(self.limits) > 1:
            raise ValueError("cannot stand beside tenants or several providers")
        if any(limits.largest is None or limits.largest >= value.tokens for limits in self.limits.values()):
            raise ValueError("needs a provider whose largest call is smaller, as in largest = 1000")

    @client_timeout.validator
    def _ends_what_hangs(self, _: Attribute[Any], value: float | None) -> None:
        if value is None and any(limits.hang_share for limits in self.limits.values()):
            raise ValueError("must be given: the provider has a hang_share, and would never answer")

    @ideal.validator
    def _of_seconds_tokens_or_capacity(self, _: Attribute[Any], value: float | str) -> None:
        if _tokens_per_second(value) is not None:
            if self.tokens is None:
                raise ValueError("counts true tokens, so tokens must be given")
        elif value not in (_IDEAL_OF_CAPACITY, _IDEAL_OF_WORK) and not (is_finite(value) and value > 0):
            known = f'seconds, "total true tokens / 10000 per second", "{_IDEAL_OF_CAPACITY}" or "{_IDEAL_OF_WORK}"'
            raise ValueError(f"must be {known}, not {value_in_words(value)}")

    @must.validator
    def _has_what_its_figures_need(self, _: Attribute[Any], value: Mapping[str, Any]) -> None:
        wrong = [Problem(("must", figure), f"needs {what}") for figure, what in self._lacking(value)]
        if wrong:
            raise ConfigError(wrong)

    def _lacking(self, must: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """The figures that mean nothing in this scenario, with what they need."""
        providers = self.limits
        for figure in sorted(figure for figure in must if figure.endswith(AGAINST_ALONE)):
            name = figure.removesuffix(AGAINST_ALONE)
            if len(providers) < 2 or name not in providers:
                yield figure, f"several providers, and one that is called {name!r}"
        outage = any(limits.outage for limits in providers.values())
        needs = [
            ("recovered", outage, "a provider with an outage"),
            ("probes_per_cooldown", outage, "a provider with an outage"),
            ("within", any(len(limits.steps) > 1 for limits in providers.values()), "a provider with a schedule"),
            ("share_error", bool(self.tenants), "tenants"),
            ("fairness", bool(self.tenants), "tenants"),
            ("large_refusals", self.large is not None, "large calls"),
            ("against_without", self.large is not None, "large calls"),
            ("recovered", "within_seconds" in must, "within_seconds beside it"),
            ("within_seconds", "recovered" in must, "recovered beside it"),
        ]
        yield from ((figure, what) for figure, given, what in needs if figure in must and not given)


def _scenario(name: str, table: _ScenarioTable, raw: Mapping[str, Any]) -> Scenario:
    rate = _tokens_per_second(table.ideal)
    after = table.must.get("after_seconds", 0.0)
    assert isinstance(after, float), "the validator of `must` lets nothing else pass"
    stated = {"provider": raw["provider"]} if table.provider is not None else raw["providers"]
    return Scenario(
        name=name,
        providers={key: _with_latencies(limits, table, stated[key]) for key, limits in table.limits.items()},
        caps={key: table.caps.get(key, table.cap) for key in table.limits},
        calls=sum(tenant.calls for tenant in table.tenants.values()) if table.tenants else table.calls,
        stack=table.stack,
        plugins=table.plugins,
        quiet=table.quiet,
        large=table.large,
        tokens=table.tokens,
        tenants=table.tenants,
        client_timeout=table.client_timeout,
        ideal=_ideal(table.ideal),
        ideal_tokens_per_second=rate,
        after_seconds=after,
        must=table.bounds,
    )


def _ideal(ideal: float | str) -> float | Literal["capacity", "work"]:
    if isinstance(ideal, str):
        return "work" if ideal == _IDEAL_OF_WORK else "capacity"
    return ideal


def _with_latencies(limits: ProviderLimits, table: _ScenarioTable, stated: Mapping[str, Any]) -> ProviderLimits:
    """The limits with the scenario's latencies where the provider does not state its own."""
    latencies: dict[str, Any] = {"latency": table.latency, "refusal_latency": table.refusal_latency}
    return evolve(limits, **{key: value for key, value in latencies.items() if key not in stated})


def _tokens_per_second(ideal: float | str) -> float | None:
    words = _IDEAL_OF_TOKENS.fullmatch(ideal) if isinstance(ideal, str) else None
    return float(words[1]) if words is not None and float(words[1]) > 0 else None


def _unfit_bound(figure: str, value: object) -> str | None:
    if figure == "while":
        return None
    if figure == "after_seconds":
        return (
            None if is_finite(value) and value >= 0 else f"must be a number of at least 0, not {value_in_words(value)}"
        )
    if figure not in AT_LEAST | AT_MOST and not figure.endswith(AGAINST_ALONE):
        return f"unknown key; {did_you_mean(figure, AT_LEAST | AT_MOST | set(_WORDS), most=99)}"
    if is_finite(value) and value >= 0:
        return None
    if isinstance(value, tuple) and all(map(is_finite, value)) and 0 <= value[0] <= value[1]:
        return None
    shown = list(value) if isinstance(value, tuple) else value_in_words(value)
    return f"must be a number or [least, most], not {shown}"


def _bound(figure: str, value: float | tuple[float, float] | str) -> Bound:
    assert not isinstance(value, str), "the validator of `must` lets none pass"
    if isinstance(value, tuple):
        return Bound(figure, *value)
    return Bound(figure, most=value) if figure in AT_MOST else Bound(figure, least=value)
