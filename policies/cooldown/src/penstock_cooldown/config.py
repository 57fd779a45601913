"""`[plugins.cooldown]`: what can be set, and what would be nonsense."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite
from typing import Any, Literal

import attrs

__all__ = ["CooldownConfig", "LimiterScope"]

LimiterScope = Literal["resource", "provider_model", "provider"]

_Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def _number(least: float, most: float = inf) -> _Validator:
    def check(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        if not (fits and least <= value <= most):
            wanted = f"a number of at least {least:g}" if most == inf else f"a number from {least:g} to {most:g}"
            raise ValueError(f"{field.name} must be {wanted}, not {value!r}")

    return check


@attrs.frozen(kw_only=True)
class CooldownConfig:
    """Durations in seconds.

    `scope`               what cools down together: a `resource` (one domain of one model), a `provider_model`, or a
                          whole `provider`, for those that limit an account and not a model
    `default_seconds`     the cooldown after a rate limit that names no time
    `maximum_seconds`     no cooldown is longer, whatever the provider asks
    `lengthening_factor`  each refused probe in a row multiplies the next cooldown by this
    `lengthened_seconds`  but not beyond this, nor below what the provider asks
    `probe_patience`      a probe counts as let in once it has been out for this many times the longest refusal seen;
                          0: only an answer counts
    `ramp_seconds`        how long the way from one call to all takes, on average, after the probe; 0: at once
    """

    scope: LimiterScope = attrs.field(default="resource")
    default_seconds: float = attrs.field(default=2.0, validator=_number(0.001))
    maximum_seconds: float = attrs.field(default=300.0, validator=_number(0.001))
    lengthening_factor: float = attrs.field(default=2.0, validator=_number(1.0, 10.0))
    lengthened_seconds: float = attrs.field(default=8.0, validator=_number(0.0))
    probe_patience: float = attrs.field(default=3.0, validator=_number(0.0))
    ramp_seconds: float = attrs.field(default=0.5, validator=_number(0.0))

    @scope.validator
    def _known_scope(self, _: attrs.Attribute[str], value: str) -> None:
        if value not in ("resource", "provider_model", "provider"):
            raise ValueError(f'scope must be "resource", "provider_model" or "provider", not {value!r}')

    def __attrs_post_init__(self) -> None:
        if self.default_seconds > self.maximum_seconds:
            default, maximum = self.default_seconds, self.maximum_seconds
            raise ValueError(f"default_seconds ({default:g}) must not be longer than maximum_seconds ({maximum:g})")
