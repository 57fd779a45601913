"""`[plugins.latency]`: what can be set, and what would be nonsense."""

from __future__ import annotations

from typing import Literal

import attrs

from penstock import LimiterScope, number_above, number_from, one_of, require_effective_max, whole_number_from

__all__ = ["LatencyConfig", "LimiterScope", "SignalChoice"]

SignalChoice = Literal["auto", "first_token", "output_token", "elapsed"]


@attrs.frozen(kw_only=True)
class LatencyConfig:
    """Limits are calls in flight.

    `scope`            what has a limit of its own: a `resource` (one domain of one model), a `provider_model`, or a
                       whole `provider` (it has no static cap, so set `effective_max` too)
    `effective_max`    bounds the static cap from above
    `initial_limit`    where to start; small, so that the first answers come from a server that does not queue
    `signal`           what is measured: `first_token` (seconds to the first token), `output_token` (seconds per output
                       token), `elapsed` (seconds per call), or `auto`: the first of these that answers give
    `window_samples`   a window of measurement has at least so many answers; and twice as many as are in flight
    `probe_every`      after so many windows the limit is lowered for one, to measure again without a queue; 0: never
    `healthy_ratio`    the baseline never rises above this many times the lowest that was measured
    `healthy_latency`  nor above this, in the unit of the signal: seconds, or seconds per output token
    """

    scope: LimiterScope = attrs.field(default="resource", validator=one_of(LimiterScope))
    effective_max: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole_number_from(1)))
    initial_limit: int = attrs.field(default=4, validator=whole_number_from(1))
    signal: SignalChoice = attrs.field(default="auto", validator=one_of(SignalChoice))
    window_samples: int = attrs.field(default=24, validator=whole_number_from(4))
    probe_every: int = attrs.field(default=50, validator=whole_number_from(0))
    healthy_ratio: float = attrs.field(default=3.0, validator=number_from(1.0))
    healthy_latency: float | None = attrs.field(default=None, validator=attrs.validators.optional(number_above(0.0)))

    def __attrs_post_init__(self) -> None:
        require_effective_max(self.scope, self.effective_max)
