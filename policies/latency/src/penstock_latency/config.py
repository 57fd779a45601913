"""`[plugins.latency]`: what can be set, and what would be nonsense."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, Literal

import attrs

__all__ = ["LatencyConfig", "LimiterScope", "SignalChoice"]

LimiterScope = Literal["resource", "provider_model", "provider"]
SignalChoice = Literal["auto", "first_token", "output_token", "elapsed"]

_Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def _whole(least: int) -> _Validator:
    def check(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{field.name} must be a whole number from {least} on, not {value!r}")

    return check


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


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

    scope: LimiterScope = attrs.field(default="resource")
    effective_max: int | None = attrs.field(default=None, validator=attrs.validators.optional(_whole(1)))
    initial_limit: int = attrs.field(default=4, validator=_whole(1))
    signal: SignalChoice = attrs.field(default="auto")
    window_samples: int = attrs.field(default=24, validator=_whole(4))
    probe_every: int = attrs.field(default=50, validator=_whole(0))
    healthy_ratio: float = attrs.field(default=3.0)
    healthy_latency: float | None = attrs.field(default=None)

    @scope.validator
    def _known_scope(self, _: attrs.Attribute[str], value: str) -> None:
        if value not in ("resource", "provider_model", "provider"):
            raise ValueError(f'scope must be "resource", "provider_model" or "provider", not {value!r}')

    @signal.validator
    def _known_signal(self, _: attrs.Attribute[str], value: str) -> None:
        if value not in ("auto", "first_token", "output_token", "elapsed"):
            raise ValueError(f'signal must be "auto", "first_token", "output_token" or "elapsed", not {value!r}')

    @healthy_ratio.validator
    def _at_least_one(self, _: attrs.Attribute[float], value: float) -> None:
        if not _number(value) or value < 1:
            raise ValueError(f"healthy_ratio must be a number of at least 1, not {value!r}")

    @healthy_latency.validator
    def _positive(self, _: attrs.Attribute[float | None], value: float | None) -> None:
        if value is not None and (not _number(value) or value <= 0):
            raise ValueError(f"healthy_latency must be a number above 0, not {value!r}")

    def __attrs_post_init__(self) -> None:
        if self.scope == "provider" and self.effective_max is None:
            raise ValueError('scope "provider" needs effective_max: a provider has no static cap to grow to')
