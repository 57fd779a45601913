"""`[plugins.breaker]`: what can be set, and what would be nonsense."""

from __future__ import annotations

import attrs

from penstock import LimiterScope, number_from, one_of, true_or_false, whole_number_from

__all__ = ["BreakerConfig", "LimiterScope"]


@attrs.frozen(kw_only=True)
class BreakerConfig:
    """Durations in seconds.

    `scope`              what breaks together: a `resource` (one domain of one model), a `provider_model`, or a
                         whole `provider`
    `window_seconds`     the failure rate is that of the calls of the last so many seconds
    `failure_rate`       the share of them, above 0 and up to 1, that must have failed for the breaker to open
    `minimum_calls`      with fewer calls in the window it stays closed
    `slow_seconds`       an answer that took longer counts as failed; 0: no answer is too slow
    `count_rate_limits`  whether a rate limit counts as failed; else it does not count at all
    `open_seconds`       how long nobody calls after it opened
    `open_growth`        each opening in a row multiplies that time by this
    `open_max_seconds`   but not beyond this
    `jitter`             up to this share of the time is taken off at random, so that processes do not probe together
    `probes`             so many calls probe when the time is over, and all must be answered for it to close
    `ramp_seconds`       how long the way from one call to all takes, on average, after the probes; 0: at once
    `fail_fast`          refuse calls at once while it is open; else they wait
    """

    scope: LimiterScope = attrs.field(default="resource", validator=one_of(LimiterScope))
    window_seconds: float = attrs.field(default=30.0, validator=number_from(0.1))
    failure_rate: float = attrs.field(default=0.5, validator=number_from(0.01, 1.0))
    minimum_calls: int = attrs.field(default=10, validator=whole_number_from(1))
    slow_seconds: float = attrs.field(default=0.0, validator=number_from(0.0))
    count_rate_limits: bool = attrs.field(default=False, validator=true_or_false)
    open_seconds: float = attrs.field(default=5.0, validator=number_from(0.001))
    open_growth: float = attrs.field(default=2.0, validator=number_from(1.0, 10.0))
    open_max_seconds: float = attrs.field(default=30.0, validator=number_from(0.001))
    jitter: float = attrs.field(default=0.2, validator=number_from(0.0, 0.9))
    probes: int = attrs.field(default=1, validator=whole_number_from(1))
    ramp_seconds: float = attrs.field(default=2.0, validator=number_from(0.0))
    fail_fast: bool = attrs.field(default=False, validator=true_or_false)

    def __attrs_post_init__(self) -> None:
        if self.open_seconds > self.open_max_seconds:
            first, most = self.open_seconds, self.open_max_seconds
            raise ValueError(f"open_seconds ({first:g}) must not be longer than open_max_seconds ({most:g})")
