"""Scenarios from TOML: strict, and with every error of the file at once.

The format is told at the head of `scenarios.toml`, which comes with the package: the scenarios by which request
admission is judged. Other files, with other figures, are read the same way.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from penstock.testing.contracts.field_rules import Rule, number, whole
from penstock.testing.provider.config import limits_from_mapping
from penstock.testing.provider.limits import ProviderLimits
from penstock.testing.scenarios.scenario import AGAINST_ALONE, AT_LEAST, AT_MOST, Bound, Scenario, Tenant, TokenSizes
from penstock.words.errors import ConfigError

__all__ = ["load_scenarios", "scenarios_from"]

_PROVIDER_DEFAULTS = ("latency", "refusal_latency")
_DEFAULTS: Mapping[str, Any] = {
    "latency": {"mean": 1.0, "sigma": 0.5},
    "refusal_latency": 0.05,
    "cap": 64,
    "calls": 5000,
}
_KEYS = (*_DEFAULTS, "provider", "providers", "caps", "stack", "tokens", "tenants", "client_timeout", "ideal", "must")
_IDEAL_OF_TOKENS = re.compile(r"total true tokens / (\d+(?:\.\d+)?) per second")
_IDEAL_OF_CAPACITY = "time at which the integral of capacity reaches the calls"
_WORDS = ("while", "after_seconds")
"""What stands in `must` and is no figure: words for people, and a parameter of `within`."""


def load_scenarios(path: Path | str | None = None) -> dict[str, Scenario]:
    """The scenarios of a file by name, in its order; without a path, those that come with the package.

    Raises `ConfigError` with one line per problem, each naming the file and the dotted key.
    """
    if path is None:
        text, where = files("penstock.testing").joinpath("scenarios.toml").read_text(encoding="utf-8"), "scenarios.toml"
    else:
        where = str(path)
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{where}: cannot be read: {error}") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: is no TOML: {error}") from None
    return scenarios_from(data, where)


def scenarios_from(data: Mapping[str, Any], where: str = "scenarios") -> dict[str, Scenario]:
    """The scenarios of a parsed file; `where` names it in errors. Raises `ConfigError` with every problem.

    >>> print(scenarios_from({"one": {"provider": {"slots": 4}, "calls": 10, "must": {"refused": 0.1}}})["one"].calls)
    10
    """
    problems: list[str] = []
    defaults = dict(_DEFAULTS)
    given = data.get("defaults", {})
    if isinstance(given, Mapping):
        problems += [f"defaults.{key}: {_unknown(key, _DEFAULTS)}" for key in given if key not in _DEFAULTS]
        defaults |= {key: value for key, value in given.items() if key in _DEFAULTS}
    else:
        problems.append(f"defaults: must be a table, not {given!r}")
    found = {}
    for name, table in data.items():
        if name == "defaults":
            continue
        if isinstance(table, Mapping):
            found[name] = _Reader(name, {**defaults, **table}, problems).scenario()
        else:
            problems.append(f"{name}: must be the table of a scenario, not {table!r}")
    if not found and not problems:
        problems.append("there is no scenario in it: add a table [name] with provider and must")
    if problems:
        raise ConfigError("\n".join(f"{where}: {problem}" for problem in problems))
    return {name: scenario for name, scenario in found.items() if scenario is not None}


def _unknown(key: object, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(str(key), names, n=1)
    return f"unknown key; did you mean {near[0]!r}?" if near else f"unknown key; known are {', '.join(names)}"


class _Reader:
    """Reads one table; what is wrong goes into `problems`."""

    def __init__(self, name: str, table: Mapping[str, Any], problems: list[str]) -> None:
        self._name = name
        self._table = table
        self._problems = problems

    def scenario(self) -> Scenario | None:
        before = len(self._problems)
        for key in self._table:
            if key not in _KEYS:
                self._wrong(str(key), _unknown(key, _KEYS))
        self._checked("cap", whole(1))
        self._checked("calls", whole(1))
        self._checked("client_timeout", number(0, excluded=True))
        providers = self._providers()
        parts: dict[str, Any] = {
            "caps": self._caps(providers),
            "stack": self._stack(),
            "tokens": self._tokens(),
            "tenants": self._tenants(),
            "must": self._must(),
            **self._ideal(),
        }
        self._fits_together(providers, parts)
        if len(self._problems) > before:
            return None
        tenants = parts["tenants"]
        return Scenario(
            name=self._name,
            providers=providers,
            calls=sum(tenant.calls for tenant in tenants.values()) if tenants else self._table["calls"],
            client_timeout=self._table.get("client_timeout"),
            after_seconds=self._after_seconds(),
            **parts,
        )

    # -- parts --

    def _providers(self) -> dict[str, ProviderLimits]:
        if "provider" in self._table and "providers" in self._table:
            self._wrong("providers", "cannot stand beside provider: name one provider, or several")
            return {}
        if "provider" in self._table:
            tables: Mapping[str, Any] = {"provider": self._table["provider"]}
            prefix = ""
        else:
            tables, prefix = self._mapping("providers"), "providers."
            if not tables:
                self._wrong("provider", "must be given: what the provider truly allows, as in { slots = 20 }")
        defaults = {key: self._table[key] for key in _PROVIDER_DEFAULTS}
        found = {}
        for name, table in tables.items():
            where = f"{self._name}.{prefix}{name}"
            if not isinstance(table, Mapping):
                self._problems.append(f"{where}: must be a table, not {table!r}")
                continue
            limits = limits_from_mapping({**defaults, **table}, where, self._problems)
            if limits is not None:
                found[name] = limits
        return found

    def _caps(self, providers: Mapping[str, ProviderLimits]) -> dict[str, int]:
        caps = self._mapping("caps")
        for name, cap in caps.items():
            if name not in providers:
                self._wrong(f"caps.{name}", _unknown(name, providers))
            elif problem := whole(1)(cap):
                self._wrong(f"caps.{name}", problem)
        return {name: caps.get(name, self._table["cap"]) for name in providers}

    def _stack(self) -> tuple[str, ...]:
        stack = self._table.get("stack", [])
        if isinstance(stack, list) and all(isinstance(name, str) for name in stack):
            return tuple(stack)
        self._wrong("stack", f"must be a list of plugin names, not {stack!r}")
        return ()

    def _tokens(self) -> TokenSizes | None:
        if "tokens" not in self._table:
            return None
        table = self._mapping("tokens", ("mean", "sigma", "estimate_error"), needed=("mean",))
        problem = _problem(table.get("mean", 1), number(0, excluded=True), "mean")
        problem = problem or _problem(table.get("sigma", 0.0), number(0), "sigma")
        error = table.get("estimate_error", [1.0, 1.0])
        if not _is_pair(error) or not 0 < error[0] <= error[1]:
            problem = problem or f"estimate_error must be [smallest, largest factor], both above 0, not {error!r}"
        if problem:
            self._wrong("tokens", problem)
            return None
        return TokenSizes(table.get("mean", 1), table.get("sigma", 0.0), (float(error[0]), float(error[1])))

    def _tenants(self) -> dict[str, Tenant]:
        found = {}
        for name, table in self._mapping("tenants").items():
            if not isinstance(table, Mapping) or set(table) != {"weight", "calls"}:
                self._wrong(f"tenants.{name}", f"must be {{ weight = ..., calls = ... }}, not {table!r}")
                continue
            problem = _problem(table["weight"], number(0, excluded=True), "weight")
            problem = problem or _problem(table["calls"], whole(1), "calls")
            if problem:
                self._wrong(f"tenants.{name}", problem)
                continue
            found[name] = Tenant(table["weight"], table["calls"])
        return found

    def _ideal(self) -> dict[str, Any]:
        ideal = self._table.get("ideal", _IDEAL_OF_CAPACITY)
        if ideal == _IDEAL_OF_CAPACITY:
            return {"ideal": "capacity"}
        if isinstance(ideal, str):
            words = _IDEAL_OF_TOKENS.fullmatch(ideal)
            if words is not None and float(words[1]) > 0:
                return {"ideal_tokens_per_second": float(words[1])}
        elif number(0, excluded=True)(ideal) is None:
            return {"ideal": float(ideal)}
        known = f'seconds, "total true tokens / 10000 per second" or "{_IDEAL_OF_CAPACITY}"'
        self._wrong("ideal", f"must be {known}, not {ideal!r}")
        return {}

    def _must(self) -> tuple[Bound, ...]:
        bounds = []
        for key, value in self._mapping("must").items():
            if key in _WORDS:
                continue
            if key not in AT_LEAST | AT_MOST and not key.endswith(AGAINST_ALONE):
                self._wrong(f"must.{key}", _unknown(key, sorted(AT_LEAST | AT_MOST | set(_WORDS))))
            elif _is_pair(value) and value[0] <= value[1]:
                bounds.append(Bound(key, float(value[0]), float(value[1])))
            elif number(0)(value) is not None:
                self._wrong(f"must.{key}", f"must be a number or [least, most], not {value!r}")
            elif key in AT_MOST:
                bounds.append(Bound(key, most=float(value)))
            else:
                bounds.append(Bound(key, least=float(value)))
        return tuple(bounds)

    def _after_seconds(self) -> float:
        seconds = self._mapping("must").get("after_seconds", 0.0)
        if problem := number(0)(seconds):
            self._wrong("must.after_seconds", problem)
            return 0.0
        return float(seconds)

    # -- what must go together --

    def _fits_together(self, providers: Mapping[str, ProviderLimits], parts: Mapping[str, Any]) -> None:
        self._after_seconds()
        bounded = {bound.figure for bound in parts["must"]}
        for figure in sorted(figure for figure in bounded if figure.endswith(AGAINST_ALONE)):
            name = figure.removesuffix(AGAINST_ALONE)
            if len(providers) < 2 or name not in providers:
                self._wrong(f"must.{figure}", f"needs several providers, and one that is called {name!r}")
        needs = {
            "within": (any(len(limits.steps) > 1 for limits in providers.values()), "a provider with a schedule"),
            "share_error": (bool(parts["tenants"]), "tenants"),
            "fairness": (bool(parts["tenants"]), "tenants"),
            "recovered": ("within_seconds" in bounded, "within_seconds beside it"),
            "within_seconds": ("recovered" in bounded, "recovered beside it"),
        }
        for figure in ("recovered", "probes_per_cooldown"):
            if figure in bounded and not any(limits.outage for limits in providers.values()):
                self._wrong(f"must.{figure}", "needs a provider with an outage")
        for figure, (given, what) in needs.items():
            if figure in bounded and not given:
                self._wrong(f"must.{figure}", f"needs {what}")
        if parts["tenants"] and len(providers) > 1:
            self._wrong("tenants", "cannot stand beside several providers")
        if any(limits.hang_share for limits in providers.values()) and "client_timeout" not in self._table:
            self._wrong("client_timeout", "must be given: the provider has a hang_share, and would never answer")
        if "ideal_tokens_per_second" in parts and parts["tokens"] is None:
            self._wrong("ideal", "counts true tokens, so tokens must be given")

    # -- inside --

    def _mapping(self, key: str, known: tuple[str, ...] = (), needed: tuple[str, ...] = ()) -> Mapping[str, Any]:
        table = self._table.get(key, {})
        if not isinstance(table, Mapping):
            self._wrong(key, f"must be a table, not {table!r}")
            return {}
        for name in table if known else ():
            if name not in known:
                self._wrong(f"{key}.{name}", _unknown(name, known))
        for name in needed:
            if name not in table:
                self._wrong(f"{key}.{name}", "must be given")
        return table

    def _checked(self, key: str, rule: Rule) -> None:
        if key in self._table and (problem := rule(self._table[key])):
            self._wrong(key, problem)

    def _wrong(self, key: str, what: str) -> None:
        line = f"{self._name}.{key}: {what}"
        if line not in self._problems:
            self._problems.append(line)


def _problem(value: object, rule: Rule, name: str) -> str | None:
    problem = rule(value)
    return None if problem is None else f"{name} {problem}"


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(number(0)(one) is None for one in value)
