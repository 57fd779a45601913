"""`[plugins.cooldown]`: what can be set, and what would be nonsense."""

from __future__ import annotations

from typing import Literal

import attrs

from penstock import LimiterScope, number_from, one_of

__all__ = ["CooldownConfig", "EarlyProbe", "LimiterScope"]

EarlyProbe = Literal["obedient", "always", "never"]
"""When a call may find out early whether the provider is full or closed."""


@attrs.frozen(kw_only=True)
class CooldownConfig:
    """Durations in seconds.

    `scope`                   what cools down together: a `resource` (one domain of one model), a `provider_model`, or
                              a whole `provider`, for those that limit an account and not a model
    `default_seconds`         the cooldown after a rate limit that names no time
    `early_probe`             whether the first call after a first refusal may go at once, in the place of an answered
                              one: `obedient`, where the provider named no time; `always`; or `never`
    `maximum_seconds`         no cooldown is longer, whatever the provider asks
    `lengthening_factor`      each refused probe in a row multiplies the next cooldown by this
    `lengthened_seconds`      but not beyond this, nor below what the provider asks
    `refusal_timeout_factor`  a probe that was not refused within this many times the longest refusal seen counts as
                              let in; 0: only an answer counts
    `ramp_seconds`            how long the way from one call to all takes, on average, after the probe; 0: at once
    """

    scope: LimiterScope = attrs.field(default="resource", validator=one_of(LimiterScope))
    default_seconds: float = attrs.field(default=0.5, validator=number_from(0.001))
    early_probe: EarlyProbe = attrs.field(default="obedient", validator=one_of(EarlyProbe))
    maximum_seconds: float = attrs.field(default=300.0, validator=number_from(0.001))
    lengthening_factor: float = attrs.field(default=2.0, validator=number_from(1.0, 10.0))
    lengthened_seconds: float = attrs.field(default=8.0, validator=number_from(0.0))
    refusal_timeout_factor: float = attrs.field(default=3.0, validator=number_from(0.0))
    ramp_seconds: float = attrs.field(default=0.5, validator=number_from(0.0))

    def __attrs_post_init__(self) -> None:
        if self.default_seconds > self.maximum_seconds:
            default, maximum = self.default_seconds, self.maximum_seconds
            raise ValueError(f"default_seconds ({default:g}) must not be longer than maximum_seconds ({maximum:g})")
