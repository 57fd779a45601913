"""`[plugins.token-budget]`: what can be set, and what would be nonsense."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, Final, Literal

import attrs

from penstock import ProviderKey, ProviderModelKey, RequestResourceKey, Scope

__all__ = ["DIMENSIONS", "WINDOWS", "Budget", "LearntScope", "Rates", "TokenBudgetConfig"]

LearntScope = Literal["resource", "provider_model", "provider"]

DIMENSIONS: Final = ("requests", "tokens", "input_tokens", "output_tokens")
"""What can be counted. `tokens` are input and output together."""

WINDOWS: Final = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
"""Words to seconds."""

_Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def _whole(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{field.name} must be a whole number from 1 on, not {value!r}")


def _named(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
    if value == "":
        raise ValueError(f"{field.name} must not be empty")


def _number(least: float, most: float, *, excluded: bool = False) -> _Validator:
    def check(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        if not (fits and least <= value <= most and not (excluded and value == least)):
            wanted = f"above {least:g} and at most {most:g}" if excluded else f"from {least:g} to {most:g}"
            raise ValueError(f"{field.name} must be a number {wanted}, not {value!r}")

    return check


@attrs.frozen(kw_only=True)
class Rates:
    """So much in each window of that length, in requests or tokens; a window that is left out is not limited."""

    second: int | None = attrs.field(default=None, validator=_whole)
    minute: int | None = attrs.field(default=None, validator=_whole)
    hour: int | None = attrs.field(default=None, validator=_whole)
    day: int | None = attrs.field(default=None, validator=_whole)

    @property
    def limits(self) -> list[tuple[float, int]]:
        """(Seconds, amount) of each window that is limited."""
        return [(seconds, amount) for word, seconds in WINDOWS.items() if (amount := getattr(self, word)) is not None]


@attrs.frozen(kw_only=True)
class Budget:
    """What may be used of one provider, of one of its models (its id, not an alias), or of one domain of the model."""

    provider: str = attrs.field(validator=_named)
    model: str | None = attrs.field(default=None, validator=_named)
    domain: str | None = attrs.field(default=None, validator=_named)
    requests: Rates | None = None
    tokens: Rates | None = None
    input_tokens: Rates | None = None
    output_tokens: Rates | None = None

    def __attrs_post_init__(self) -> None:
        if self.domain is not None and self.model is None:
            raise ValueError(f"domain {self.domain!r} needs a model: domains are those of a model")
        if not self.limits:
            raise ValueError(f"requests or tokens of {self.scope} must be limited, as in requests = {{ minute = 600 }}")

    @property
    def scope(self) -> Scope:
        """What shares this budget."""
        if self.model is None:
            return ProviderKey(self.provider)
        if self.domain is None:
            return ProviderModelKey(self.provider, self.model)
        return RequestResourceKey(self.provider, self.model, self.domain)

    @property
    def limits(self) -> list[tuple[str, float, int]]:
        """(Dimension, seconds, amount) of each limit."""
        found: list[tuple[str, float, int]] = []
        for dimension in DIMENSIONS:
            rates: Rates | None = getattr(self, dimension)
            if rates is not None:
                found += [(dimension, seconds, amount) for seconds, amount in rates.limits]
        return found


@attrs.frozen(kw_only=True)
class TokenBudgetConfig:
    """Durations in seconds.

    `budgets`        what is known beforehand
    `learn`          whether limits are learnt from the headers of answers
    `scope`          what shares a limit that is learnt: a `resource` (one domain of one model), a `provider_model`,
                     or a whole `provider`, for those that limit an account and not a model
    `share`          the part of every limit, configured or learnt, that this run may use
    `burst_seconds`  the most that may be saved up while nothing is asked for, in seconds' worth of a limit per second
                     or minute; 0: calls are evenly spaced
    """

    budgets: tuple[Budget, ...] = attrs.field(default=())
    learn: bool = True
    scope: LearntScope = attrs.field(default="provider_model")
    share: float = attrs.field(default=1.0, validator=_number(0.0, 1.0, excluded=True))
    burst_seconds: float = attrs.field(default=1.0, validator=_number(0.0, 60.0))

    @scope.validator
    def _known_scope(self, _: attrs.Attribute[str], value: str) -> None:
        if value not in ("resource", "provider_model", "provider"):
            raise ValueError(f'scope must be "resource", "provider_model" or "provider", not {value!r}')

    @budgets.validator
    def _each_scope_once(self, _: attrs.Attribute[Any], value: tuple[Budget, ...]) -> None:
        scopes: set[Scope] = set()
        for budget in value:
            if budget.scope in scopes:
                raise ValueError(f"budgets must name {budget.scope} once, with all its limits in one table")
            scopes.add(budget.scope)
