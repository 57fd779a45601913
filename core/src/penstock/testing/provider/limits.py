"""The true limits of one model endpoint, as a record that cannot hold nonsense.

The field names are those of the scenario files and of the mock provider's TOML, from which `structure` makes the
record: the type of a field says how it is written, its validator what makes sense. A schedule, steps or ramp, becomes
one list of steps; everything that asks for capacity reads that list.
"""

from __future__ import annotations

import math
import random
import re
from bisect import bisect_right
from typing import Any, Final, Literal, Self

from attrs import Attribute, field, frozen, validators

from penstock.config.words import value_in_words
from penstock.words.checks import is_finite
from penstock.words.validators import number_above, number_from, one_of, true_or_false, whole_number_from

__all__ = ["Latency", "ProviderLimits", "Ramp", "RetryAfterForm"]

RetryAfterForm = Literal["seconds", "whole-seconds", "milliseconds", "http-date"]
_RAMP_IN_WORDS: Final = re.compile(r"(\d+) to (\d+) linearly over (\d+(?:\.\d+)?) s")


@frozen
class Latency:
    """The duration of answers: log-normal, `mean` seconds (of the distribution itself), `sigma` of the
    underlying normal. A sigma of 0 makes every answer take exactly `mean`. Raises `ValueError`."""

    mean: float = field(default=1.0, validator=number_from(0))
    sigma: float = field(default=0.5, validator=number_from(0))

    def draw(self, rng: random.Random) -> float:
        """The seconds that one answer takes."""
        if self.sigma == 0 or self.mean == 0:
            return self.mean
        # The mean of a log-normal is exp(mu + sigma²/2), hence this mu.
        return rng.lognormvariate(math.log(self.mean) - self.sigma**2 / 2, self.sigma)


@frozen
class Ramp:
    """A change of slots, which go linearly from `start` to `to` within `over` seconds, rounded to whole slots. In TOML
    a table of `from`, `to` and `over`, or `"2 to 32 linearly over 120 s"`. Raises `ValueError`."""

    start: int = field(validator=whole_number_from(0), metadata={"key": "from"})
    to: int = field(validator=whole_number_from(0))
    over: float = field(validator=number_above(0))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The ramp that these words describe. Raises `ValueError`."""
        words = _RAMP_IN_WORDS.fullmatch(text)
        if words is None:
            raise ValueError(f"must read like '2 to 32 linearly over 120 s', not {text!r}")
        return cls(int(words[1]), int(words[2]), float(words[3]))

    def steps(self) -> tuple[tuple[float, int], ...]:
        # Rounding half up puts each change half a slot early, so that the integral is that of the straight
        # line.
        size = abs(self.to - self.start)
        sign = 1 if self.to > self.start else -1
        changes = ((self.over * (i - 0.5) / size, self.start + sign * i) for i in range(1, size + 1))
        return ((0.0, self.start), *changes)


@frozen
class ProviderLimits:
    """The true limits and habits of one model endpoint. Raises `ValueError` naming a wrong field;
    `structure` names them all.

    Seconds count from the endpoint's start. `None` means: no such limit.

    - `slots`: calls at a time; over it a call is refused, or with `queue` waits in silence for a slot.
    - `rpm`, `burst`: requests a minute, and at once (default: one second's worth, at least 1).
    - `tpm`, `tpm_burst`: the same for tokens.
    - `latency`, `refusal_latency`: of an answer, and seconds that a refusal takes.
    - `retry_after`: seconds stated with a 429; `"until-next"`: the exact time until the limit that refused
      has room, where that can be known (buckets and outages, not slots); `None`: no such header.
    - `retry_after_form`: `seconds` (fractions included, as several providers send them), `whole-seconds`
      (rounded up, as RFC 9110 has it), `milliseconds` (`retry-after-ms`), `http-date` (RFC 9110, with the
      answer's own `date`).
    - `headers`: `x-ratelimit-*` on every answer.
    - `schedule`: instead of `slots`: steps of (from second, slots), the first at 0; or a `Ramp`.
    - `outage`: (from, to) seconds within which everything is answered with 429.
    - `quota`: how many calls are let in at all; after them every call is refused, in the words of an account whose
      day's quota is used up.
    - `largest`: the tokens of the largest call that can pass; a larger one is refused always, as by any other limit.
    - `error_rate`, `error_status`: share of admitted calls answered with a 5xx, and which. An error takes
      no slot, and nothing from a bucket.
    - `hang_share`: share of admitted calls that are never answered; each keeps its slot until its client
      gives up.
    """

    slots: int | None = field(default=None, validator=validators.optional(whole_number_from(1)))
    queue: bool = field(default=False, validator=true_or_false)
    rpm: float | None = field(default=None, validator=validators.optional(number_above(0)))
    burst: int | None = field(default=None, validator=validators.optional(whole_number_from(1)))
    tpm: float | None = field(default=None, validator=validators.optional(number_above(0)))
    tpm_burst: int | None = field(default=None, validator=validators.optional(whole_number_from(1)))
    latency: Latency = field(default=Latency())
    refusal_latency: float = field(default=0.05, validator=number_from(0))
    retry_after: float | Literal["until-next"] | None = field(default=None)
    retry_after_form: RetryAfterForm = field(default="seconds", validator=one_of(RetryAfterForm))
    headers: bool = field(default=False, validator=true_or_false)
    schedule: tuple[tuple[float, int], ...] | Ramp | None = field(default=None)
    outage: tuple[float, float] | None = field(default=None)
    quota: int | None = field(default=None, validator=validators.optional(whole_number_from(0)))
    largest: int | None = field(default=None, validator=validators.optional(whole_number_from(1)))
    error_rate: float = field(default=0.0, validator=number_from(0, 1))
    error_status: int = field(default=500)
    hang_share: float = field(default=0.0, validator=number_from(0, 1))
    _steps: tuple[tuple[float, int], ...] = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if isinstance(self.schedule, Ramp):
            steps = self.schedule.steps()
        elif self.schedule is not None:
            steps = self.schedule
        else:
            steps = () if self.slots is None else ((0.0, self.slots),)
        object.__setattr__(self, "_steps", steps)  # frozen for others; this is its own making

    # attrs asks validators when all fields are set, so one may look at others.

    @queue.validator
    def _queues_for_slots(self, _: Attribute[bool], value: bool) -> None:
        if value and self.slots is None and self.schedule is None:
            raise ValueError("queue means nothing without slots or a schedule")

    @latency.validator
    def _a_distribution(self, _: Attribute[Any], value: object) -> None:
        if not isinstance(value, Latency):
            raise ValueError(f"latency must be a Latency, not {value_in_words(value)}")

    @burst.validator
    @tpm_burst.validator
    def _beside_a_rate(self, of: Attribute[Any], value: int | None) -> None:
        rate = "rpm" if of.name == "burst" else "tpm"
        if value is not None and getattr(self, rate) is None:
            raise ValueError(f"{of.name} means nothing without {rate}")

    @retry_after.validator
    def _a_time_or_the_exact_one(self, _: Attribute[Any], value: object) -> None:
        if value is not None and value != "until-next" and not (is_finite(value) and value >= 0):
            wanted = 'a number of seconds of at least 0 or "until-next"'
            raise ValueError(f"retry_after must be {wanted}, not {value_in_words(value)}")

    @schedule.validator
    def _steps_in_order(self, _: Attribute[Any], value: object) -> None:
        if value is not None and self.slots is not None:
            raise ValueError("schedule cannot stand beside slots: the schedule names the slots itself")
        if value is not None and not isinstance(value, Ramp):
            _check_steps(value)

    @error_status.validator
    def _of_a_server(self, _: Attribute[int], value: int) -> None:
        if value not in range(500, 600):
            raise ValueError(f"error_status must be a status from 500 to 599, not {value_in_words(value)}")

    @outage.validator
    def _from_a_second_to_a_later_one(self, _: Attribute[Any], value: Any) -> None:
        if value is None:
            return
        pair = isinstance(value, tuple) and len(value) == 2 and all(map(is_finite, value))
        if not (pair and 0 <= value[0] < value[1]):
            shown = list(value) if isinstance(value, tuple) else value
            raise ValueError(f"outage must be [from second, to second], the first below the second, not {shown}")

    @property
    def request_burst(self) -> int:
        """The requests that may come at once; only meaningful with `rpm`."""
        return self.burst if self.burst is not None else max(1, int((self.rpm or 0) / 60))

    @property
    def token_burst(self) -> int:
        """The tokens that may come at once; only meaningful with `tpm`."""
        return self.tpm_burst if self.tpm_burst is not None else max(1, int((self.tpm or 0) / 60))

    @property
    def steps(self) -> tuple[tuple[float, int], ...]:
        """The slots as (from second, slots), rising; empty if they are not limited."""
        return self._steps

    def slots_at(self, elapsed: float) -> int | None:
        """The calls at a time, `elapsed` seconds after the start; `None` if they are not limited."""
        steps = self._steps
        if len(steps) <= 1:
            return steps[0][1] if steps else None
        return steps[max(0, bisect_right(steps, elapsed, key=lambda step: step[0]) - 1)][1]

    def next_change(self, elapsed: float) -> float | None:
        """The next second after `elapsed` at which the slots change by schedule; `None` if they never do again."""
        index = bisect_right(self._steps, elapsed, key=lambda step: step[0])
        return self._steps[index][0] if index < len(self._steps) else None

    def in_outage(self, elapsed: float) -> bool:
        return self.outage is not None and self.outage[0] <= elapsed < self.outage[1]


def _check_steps(steps: object) -> None:
    if not isinstance(steps, tuple) or not steps:
        raise ValueError("schedule must be steps of [from second, slots], of which there is at least one, or a ramp")
    before = -math.inf
    for step in steps:
        if not (isinstance(step, tuple) and len(step) == 2 and all(map(is_finite, step)) and _is_whole(step[1])):
            shown = list(step) if isinstance(step, tuple) else step
            raise ValueError(f"schedule must hold steps of [from second, whole number of slots], not {shown}")
        if step[0] <= before:
            raise ValueError(
                f"schedule must name its seconds in rising order: {step[0]:g} does not come after {before:g}"
            )
        before = step[0]
    if steps[0][0] != 0:
        raise ValueError(f"schedule must begin at second 0, not at {steps[0][0]:g}")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and value >= 0
