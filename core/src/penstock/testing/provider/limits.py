"""What one model endpoint truly allows, as a record that cannot hold nonsense.

The field names are those of the scenario files and of the mock provider's TOML. Each field has one rule,
kept as data: the record checks itself with it, and `provider_config` uses the same rule to tell all errors
of a file at once. A schedule, steps or ramp, becomes one list of steps; everything that asks for capacity
reads that list.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Mapping
from typing import Literal, get_args

from attrs import field, fields, frozen

from penstock.testing.contracts.field_rules import Rule, flag, number, optional, problems_in, raise_if, whole

__all__ = ["LIMIT_RULES", "Latency", "ProviderLimits", "Ramp", "RetryAfterForm", "contradictions"]

RetryAfterForm = Literal["seconds", "whole-seconds", "milliseconds", "http-date"]


def _record(kind: type) -> Rule:
    return lambda value: None if isinstance(value, kind) else f"must be a {kind.__name__}, not {value!r}"


def _retry_after(value: object) -> str | None:
    if value is None or value == "until-next" or number(0)(value) is None:
        return None
    return f'must be a number of seconds or "until-next", not {value!r}'


def _form(value: object) -> str | None:
    allowed = get_args(RetryAfterForm)
    return None if value in allowed else f"must be one of {', '.join(allowed)}, not {value!r}"


def _server_error(value: object) -> str | None:
    if isinstance(value, int) and 500 <= value <= 599:
        return None
    return f"must be a status from 500 to 599, not {value!r}"


def _schedule(value: object) -> str | None:
    if value is None or isinstance(value, Ramp):
        return None
    if not isinstance(value, tuple) or not value:
        return f"must be steps of [from second, slots] or a ramp, not {value!r}"
    before = -1.0
    for step in value:
        if not isinstance(step, tuple) or len(step) != 2:
            return f"must hold steps of [from second, slots], not {step!r}"
        second, slots = step
        if number(0)(second) or whole(0)(slots):
            return f"must hold steps of [from second, whole number of slots], not {list(step)!r}"
        if second <= before:
            return f"must name its seconds in rising order: {second!r} does not come after {before!r}"
        before = second
    return None if value[0][0] == 0 else f"must begin at second 0, not at {value[0][0]!r}"


def _outage(value: object) -> str | None:
    if isinstance(value, tuple) and len(value) == 2:
        begin, end = value
        if number(0)(begin) is None and number(0)(end) is None and begin < end:
            return None
    shown = list(value) if isinstance(value, tuple) else value
    return f"must be [from second, to second] with the first below the second, not {shown!r}"


_LATENCY_RULES: Mapping[str, Rule] = {"mean": number(0), "sigma": number(0)}
_RAMP_RULES: Mapping[str, Rule] = {"from": whole(0), "to": whole(0), "over": number(0, excluded=True)}


@frozen
class Latency:
    """How long an answer takes: log-normal, `mean` seconds (of the distribution itself), `sigma` of the
    underlying normal. A sigma of 0 makes every answer take exactly `mean`. Raises `ValueError`."""

    mean: float = 1.0
    sigma: float = 0.5

    def __attrs_post_init__(self) -> None:
        raise_if(problems_in({"mean": self.mean, "sigma": self.sigma}, _LATENCY_RULES))

    def draw(self, rng: random.Random) -> float:
        """Seconds that one answer takes."""
        if self.sigma == 0 or self.mean == 0:
            return self.mean
        # The mean of a log-normal is exp(mu + sigma²/2), hence this mu.
        return rng.lognormvariate(math.log(self.mean) - self.sigma**2 / 2, self.sigma)


@frozen
class Ramp:
    """Slots that go linearly from `start` to `to` within `over` seconds, rounded to whole slots. Raises
    `ValueError`."""

    start: int
    to: int
    over: float

    def __attrs_post_init__(self) -> None:
        raise_if(problems_in({"from": self.start, "to": self.to, "over": self.over}, _RAMP_RULES))

    def steps(self) -> tuple[tuple[float, int], ...]:
        # Rounding half up puts each change half a slot early, so that the integral is that of the straight
        # line.
        size = abs(self.to - self.start)
        sign = 1 if self.to > self.start else -1
        changes = ((self.over * (i - 0.5) / size, self.start + sign * i) for i in range(1, size + 1))
        return ((0.0, self.start), *changes)


@frozen
class ProviderLimits:
    """The true limits and habits of one model endpoint. Raises `ValueError` naming every wrong field.

    Seconds count from the endpoint's start. `None` means: no such limit.

    - `slots`: calls at a time; over it a call is refused, or with `queue` waits in silence for its turn.
    - `rpm`, `burst`: requests a minute, and at once (default: one second's worth, at least 1).
    - `tpm`, `tpm_burst`: the same for tokens.
    - `latency`, `refusal_latency`: of an answer, and seconds that a refusal takes.
    - `retry_after`: seconds told with a 429; `"until-next"`: the exact time until the limit that refused
      has room, where that can be known (buckets and outages, not slots); `None`: no such header.
    - `retry_after_form`: `seconds` (fractions included, as several providers send them), `whole-seconds`
      (rounded up, as RFC 9110 has it), `milliseconds` (`retry-after-ms`), `http-date` (RFC 9110, with the
      answer's own `date`).
    - `headers`: `x-ratelimit-*` on every answer.
    - `schedule`: instead of `slots`: steps of (from second, slots), the first at 0; or a `Ramp`.
    - `outage`: (from, to) seconds within which everything is answered with 429.
    - `error_rate`, `error_status`: share of admitted calls answered with a 5xx, and which. An error takes
      no slot, and nothing from a bucket.
    - `hang_share`: share of admitted calls that are never answered; each keeps its slot until its client
      gives up.
    """

    slots: int | None = None
    queue: bool = False
    rpm: float | None = None
    burst: int | None = None
    tpm: float | None = None
    tpm_burst: int | None = None
    latency: Latency = Latency()
    refusal_latency: float = 0.05
    retry_after: float | Literal["until-next"] | None = None
    retry_after_form: RetryAfterForm = "seconds"
    headers: bool = False
    schedule: tuple[tuple[float, int], ...] | Ramp | None = None
    outage: tuple[float, float] | None = None
    error_rate: float = 0.0
    error_status: int = 500
    hang_share: float = 0.0
    _steps: tuple[tuple[float, int], ...] = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        values = {f.name: getattr(self, f.name) for f in fields(ProviderLimits) if f.init}
        raise_if([*problems_in(values, LIMIT_RULES), *(f"{name} {why}" for name, why in contradictions(values))])
        if isinstance(self.schedule, Ramp):
            steps = self.schedule.steps()
        elif self.schedule is not None:
            steps = self.schedule
        else:
            steps = () if self.slots is None else ((0.0, self.slots),)
        object.__setattr__(self, "_steps", steps)  # frozen for others; this is its own making

    @property
    def request_burst(self) -> int:
        """Requests that may come at once; only meaningful with `rpm`."""
        return self.burst if self.burst is not None else max(1, int((self.rpm or 0) / 60))

    @property
    def token_burst(self) -> int:
        """Tokens that may come at once; only meaningful with `tpm`."""
        return self.tpm_burst if self.tpm_burst is not None else max(1, int((self.tpm or 0) / 60))

    @property
    def steps(self) -> tuple[tuple[float, int], ...]:
        """The slots as (from second, slots), rising; empty if they are not limited."""
        return self._steps

    def slots_at(self, elapsed: float) -> int | None:
        """Calls at a time, `elapsed` seconds after the start; `None` if they are not limited."""
        steps = self._steps
        if len(steps) <= 1:
            return steps[0][1] if steps else None
        return steps[max(0, bisect_right(steps, elapsed, key=lambda step: step[0]) - 1)][1]

    def next_change(self, elapsed: float) -> float | None:
        """The next second after `elapsed` at which the slots change by schedule; `None` if they never do
        again."""
        index = bisect_right(self._steps, elapsed, key=lambda step: step[0])
        return self._steps[index][0] if index < len(self._steps) else None

    def in_outage(self, elapsed: float) -> bool:
        return self.outage is not None and self.outage[0] <= elapsed < self.outage[1]


LIMIT_RULES: Mapping[str, Rule] = {
    "slots": optional(whole(1)),
    "queue": flag,
    "rpm": optional(number(0, excluded=True)),
    "burst": optional(whole(1)),
    "tpm": optional(number(0, excluded=True)),
    "tpm_burst": optional(whole(1)),
    "latency": _record(Latency),
    "refusal_latency": number(0),
    "retry_after": _retry_after,
    "retry_after_form": _form,
    "headers": flag,
    "schedule": _schedule,
    "outage": optional(_outage),
    "error_rate": number(0, most=1),
    "error_status": _server_error,
    "hang_share": number(0, most=1),
}


def contradictions(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Pairs of a field and what is wrong with it beside the others; fields left out count as unset."""

    def given(name: str) -> bool:
        return values.get(name) is not None

    found = []
    if given("slots") and given("schedule"):
        found.append(("schedule", "cannot stand beside slots: the schedule names the slots itself"))
    if given("burst") and not given("rpm"):
        found.append(("burst", "means nothing without rpm"))
    if given("tpm_burst") and not given("tpm"):
        found.append(("tpm_burst", "means nothing without tpm"))
    if values.get("queue") is True and not given("slots") and not given("schedule"):
        found.append(("queue", "means nothing without slots or a schedule"))
    return found
