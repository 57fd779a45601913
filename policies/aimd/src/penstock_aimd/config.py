"""`[plugins.aimd]`: what can be set, and what would be nonsense."""

from __future__ import annotations

import attrs

from penstock import LimiterScope, number_from, one_of, require_effective_max, whole_number_from

__all__ = ["AimdConfig", "LimiterScope"]

LEAST_SECONDS = 2.0
STEPS_A_SECOND = 32
"""While a refusal is under way, some 0.1 s, the limit rises by three or four: so many are refused when a climb ends."""


@attrs.frozen(kw_only=True)
class AimdConfig:
    """Limits are calls in flight, durations seconds.

    `scope`                           what has a limit of its own: a `resource` (one domain of one model), a
                                      `provider_model`, or a whole `provider` (it has no static cap, so set
                                      `effective_max` too)
    `effective_max`                   bounds the static cap from above
    `initial_limit`                   where to start; without it at 1, climbing for `startup_ramp_seconds`
    `startup_ramp_seconds`            how long the first climb to the effective max takes; 0: start there. Without it 2,
                                      or longer: the limit rises at most 32 times a second
    `multiplicative_decrease_factor`  a rate limit multiplies the limit by this
    `additive_increase_step`          so much is added
    `successes_until_increase`        for so many successes
    `ceiling_hold`                    after a cut, growth stops below its level for this many times the time that the
                                      cut took to get over; each further cut there doubles that
    `ceiling_hold_max`                up to this many times: so probing costs about one part in that many
    `ceiling_hold_max_seconds`        and up to this long
    """

    scope: LimiterScope = attrs.field(default="resource", validator=one_of(LimiterScope))
    effective_max: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole_number_from(1)))
    initial_limit: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole_number_from(1)))
    startup_ramp_seconds: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(number_from(0.0))
    )
    multiplicative_decrease_factor: float = attrs.field(default=0.75, validator=number_from(0.01, 0.99))
    additive_increase_step: float = attrs.field(default=1.0, validator=number_from(0.001))
    successes_until_increase: int = attrs.field(default=25, validator=whole_number_from(1))
    ceiling_hold: float = attrs.field(default=16.0, validator=number_from(0.0))
    ceiling_hold_max: float = attrs.field(default=40.0, validator=number_from(0.0))
    ceiling_hold_max_seconds: float = attrs.field(default=300.0, validator=number_from(0.0))

    def ramp_seconds(self, top: float) -> float:
        """How long the first climb to `top` takes."""
        if self.startup_ramp_seconds is None:
            return max(LEAST_SECONDS, (top - 1) / STEPS_A_SECOND)
        return self.startup_ramp_seconds

    def __attrs_post_init__(self) -> None:
        require_effective_max(self.scope, self.effective_max)
        if self.ceiling_hold_max < self.ceiling_hold:
            raise ValueError(
                f"ceiling_hold_max must be at least ceiling_hold ({self.ceiling_hold:g}), not {self.ceiling_hold_max:g}"
            )
