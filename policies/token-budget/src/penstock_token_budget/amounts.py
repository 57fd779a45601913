"""What calls count for, in each dimension that a budget may have."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from penstock import RequestCost, RequestReleaseOutcome, Usage

__all__ = ["NOTHING", "PLACES", "Amounts", "Sum", "estimated", "used_by"]

Amounts = tuple[float, ...]
"""An amount in each dimension, at its place."""
PLACES: Final = {"requests": 0, "input_tokens": 1, "output_tokens": 2, "tokens": 3}
"""Where `Amounts` have each dimension."""
NOTHING: Final[Amounts] = (0.0, 0.0, 0.0, 0.0)


@lru_cache(maxsize=256)  # each limiter asks for the same several times a call
def estimated(cost: RequestCost) -> Amounts:
    """What a call is estimated to count for."""
    inp, out = float(cost.input_tokens), float(cost.output_tokens)
    return float(cost.requests), inp, out, inp + out


def used_by(estimate: Amounts, outcome: RequestReleaseOutcome) -> Amounts | None:
    """What a call counts for, now that it has ended; `None`: nothing better than the estimate is known."""
    if not outcome.went_out:
        return NOTHING
    usage: Usage | None = outcome.usage
    told_in, told_out = (None, None) if usage is None else (usage.input_tokens, usage.output_tokens)
    if told_in is None and told_out is None:
        return (estimate[0], 0.0, 0.0, 0.0) if outcome.kind == "rate_limited" else None
    inp: float = estimate[1] if told_in is None else told_in  # what was not reported refunds nothing
    out: float = estimate[2] if told_out is None else told_out
    return estimate[0], inp, out, inp + out


class Sum:
    """What many calls have counted for."""

    __slots__ = ("input_tokens", "output_tokens", "requests")

    def __init__(self, requests: float = 0.0, input_tokens: float = 0.0, output_tokens: float = 0.0) -> None:
        self.requests = requests
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens

    def __repr__(self) -> str:
        return f"Sum({self.requests:g}, {self.input_tokens:g}, {self.output_tokens:g})"

    @property
    def nothing(self) -> bool:
        """Whether it is none, in any dimension."""
        return not (self.requests or self.input_tokens or self.output_tokens)

    def copy(self) -> Sum:
        """The same, to be kept as it is now."""
        return Sum(self.requests, self.input_tokens, self.output_tokens)

    def of(self, place: int) -> float:
        """The sum in the dimension of that place."""
        if place == 3:
            return self.input_tokens + self.output_tokens
        if place == 0:
            return self.requests
        return self.input_tokens if place == 1 else self.output_tokens

    def add(self, amounts: Amounts) -> None:
        """So much more."""
        self.requests += amounts[0]
        self.input_tokens += amounts[1]
        self.output_tokens += amounts[2]

    def subtract(self, amounts: Amounts) -> None:
        """So much less."""
        self.requests -= amounts[0]
        self.input_tokens -= amounts[1]
        self.output_tokens -= amounts[2]

    def correct(self, estimate: Amounts, used: Amounts) -> None:
        """So much was used where so much was estimated."""
        self.requests += used[0] - estimate[0]
        self.input_tokens += used[1] - estimate[1]
        self.output_tokens += used[2] - estimate[2]
