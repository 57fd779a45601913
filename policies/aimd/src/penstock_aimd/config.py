"""`[plugins.aimd]`: what can be set, and what would be nonsense."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite
from typing import Any, Literal

import attrs

__all__ = ["AimdConfig", "LimiterScope"]

LimiterScope = Literal["resource", "provider_model", "provider"]

_Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def _number(least: float, most: float = inf) -> _Validator:
    def check(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        if not (fits and least <= value <= most):
            wanted = f"a number of at least {least:g}" if most == inf else f"a number from {least:g} to {most:g}"
            raise ValueError(f"{field.name} must be {wanted}, not {value!r}")

    return check


def _calls(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{field.name} must be a whole number from 1 on, not {value!r}")


@attrs.frozen(kw_only=True)
class AimdConfig:
    """Limits are calls in flight, durations seconds.

    `scope`                           what has a limit of its own: a `resource` (one domain of one model), a
                                      `provider_model`, or a whole `provider` (it has no static cap, so set
                                      `effective_max` too)
    `effective_max`                   bounds the static cap from above
    `initial_limit`                   where to start; without it at 1, climbing for `startup_ramp_seconds`
    `startup_ramp_seconds`            how long the first climb to the effective max takes; 0: start there
    `multiplicative_decrease_factor`  a rate limit multiplies the limit by this
    `additive_increase_step`          so much is added
    `successes_until_increase`        for so many successes
    `ceiling_hold`                    after a cut, growth stops below its place for this many times the time that the
                                      cut took to get over; each further cut there doubles that
    `ceiling_hold_max`                up to this many times: so probing costs about one part in that many
    `ceiling_hold_max_seconds`        and up to this long
    """

    scope: LimiterScope = attrs.field(default="resource")
    effective_max: int | None = attrs.field(default=None, validator=attrs.validators.optional(_calls))
    initial_limit: int | None = attrs.field(default=None, validator=attrs.validators.optional(_calls))
    startup_ramp_seconds: float = attrs.field(default=4.0, validator=_number(0.0))
    multiplicative_decrease_factor: float = attrs.field(default=0.75, validator=_number(0.01, 0.99))
    additive_increase_step: float = attrs.field(default=1.0, validator=_number(0.001))
    successes_until_increase: int = attrs.field(default=25, validator=_calls)
    ceiling_hold: float = attrs.field(default=8.0, validator=_number(0.0))
    ceiling_hold_max: float = attrs.field(default=24.0, validator=_number(0.0))
    ceiling_hold_max_seconds: float = attrs.field(default=300.0, validator=_number(0.0))

    @scope.validator
    def _known_scope(self, _: attrs.Attribute[str], value: str) -> None:
        if value not in ("resource", "provider_model", "provider"):
            raise ValueError(f'scope must be "resource", "provider_model" or "provider", not {value!r}')

    def __attrs_post_init__(self) -> None:
        if self.scope == "provider" and self.effective_max is None:
            raise ValueError('scope "provider" needs effective_max: a provider has no static cap to grow to')
        if self.ceiling_hold_max < self.ceiling_hold:
            raise ValueError(
                f"ceiling_hold_max must be at least ceiling_hold ({self.ceiling_hold:g}), not {self.ceiling_hold_max:g}"
            )
