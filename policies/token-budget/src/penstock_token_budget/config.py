"""`[plugins.token-budget]`: what can be set, and what would be nonsense."""

from __future__ import annotations

from typing import Any, Final

import attrs

from penstock import (
    LimiterScope,
    ProviderKey,
    ProviderModelKey,
    RequestGroupKey,
    RequestResourceKey,
    Scope,
    not_empty,
    number_above,
    number_from,
    one_of,
    whole_number_from,
)

__all__ = ["DIMENSIONS", "WINDOWS", "Budget", "Rates", "TokenBudgetConfig"]

DIMENSIONS: Final = ("requests", "tokens", "input_tokens", "output_tokens")
"""What can be limited. `tokens` are input and output together."""

WINDOWS: Final = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
"""Words to seconds."""

_amount = attrs.validators.optional(whole_number_from(1))


@attrs.frozen(kw_only=True)
class Rates:
    """So much in each window of that length, in requests or tokens; a window that is left out is not limited.

    `second`  in a second
    `minute`  in a minute
    `hour`    in an hour
    `day`     in a day
    """

    second: int | None = attrs.field(default=None, validator=_amount)
    minute: int | None = attrs.field(default=None, validator=_amount)
    hour: int | None = attrs.field(default=None, validator=_amount)
    day: int | None = attrs.field(default=None, validator=_amount)

    @property
    def limits(self) -> list[tuple[float, int]]:
        """(Seconds, amount) of each window that is limited."""
        return [(seconds, amount) for word, seconds in WINDOWS.items() if (amount := getattr(self, word)) is not None]


@attrs.frozen(kw_only=True)
class Budget:
    """What may be used of one provider, of one of its models (its id, not an alias), or of one domain of the model; or
    by one `group` of calls, at whichever provider: the name of its `RequestGroupSpec`.

    `provider`       whose budget it is
    `model`          one of its models
    `domain`         one domain of the model
    `group`          or else the group of calls whose budget it is
    `requests`       how many
    `tokens`         of input and output together
    `input_tokens`   of what is sent
    `output_tokens`  of what is answered
    """

    provider: str | None = attrs.field(default=None, validator=not_empty)
    model: str | None = attrs.field(default=None, validator=not_empty)
    domain: str | None = attrs.field(default=None, validator=not_empty)
    group: str | None = attrs.field(default=None, validator=not_empty)
    requests: Rates | None = None
    tokens: Rates | None = None
    input_tokens: Rates | None = None
    output_tokens: Rates | None = None

    def __attrs_post_init__(self) -> None:
        if (self.provider is None) == (self.group is None):
            raise ValueError("provider or group must say whose budget it is, and not both")
        if self.group is not None and (self.model is not None or self.domain is not None):
            raise ValueError(
                f"group {self.group!r} is limited over all models: model and domain must not stand beside it"
            )
        if self.domain is not None and self.model is None:
            raise ValueError(f"domain {self.domain!r} needs a model: domains are those of a model")
        if not self.limits:
            raise ValueError(f"requests or tokens of {self.scope} must be limited, as in requests = {{ minute = 600 }}")

    @property
    def scope(self) -> Scope:
        """What shares this budget."""
        if self.group is not None:
            return RequestGroupKey(self.group)
        assert self.provider is not None
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
                     a whole `provider`, for those that limit an account and not a model,
                     or a `group` of calls
    `share`          the part of every limit, configured or learnt, that this run may use
    `burst_seconds`  the most that may be saved up while nothing is asked for, in seconds' worth of a limit per second
                     or minute; 0: calls are evenly spaced
    """

    budgets: tuple[Budget, ...] = attrs.field(default=())
    learn: bool = True
    scope: LimiterScope = attrs.field(default="provider_model", validator=one_of(LimiterScope))
    share: float = attrs.field(default=1.0, validator=number_above(0.0, 1.0))
    burst_seconds: float = attrs.field(default=1.0, validator=number_from(0.0, 60.0))

    @budgets.validator
    def _each_scope_once(self, _: attrs.Attribute[Any], value: tuple[Budget, ...]) -> None:
        scopes: set[Scope] = set()
        for budget in value:
            if budget.scope in scopes:
                raise ValueError(f"budgets must name {budget.scope} once, with all its limits in one table")
            scopes.add(budget.scope)
