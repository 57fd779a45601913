"""What an answer says of how busy its server is.

Time to the first token is the best: it holds the wait in the server's queue and little else. Next comes the time per
output token: answers differ in length, and a long one is no sign of trouble. The tokens are those that the answer
reports, else the estimate of the request. Last comes the time of the whole call.

The three have different units, so a limiter holds to one at a time.
"""

from __future__ import annotations

from math import isfinite
from typing import Final

import attrs

from penstock import RequestCost, RequestReleaseOutcome

__all__ = ["SIGNALS", "Measure", "measure"]

SIGNALS: Final = ("first_token", "output_token", "elapsed")
"""The best first."""


@attrs.frozen
class Measure:
    """`seconds` for `amount` of what `signal` counts: tokens for `output_token`, else one call."""

    signal: str
    seconds: float
    amount: float = 1.0


def measure(outcome: RequestReleaseOutcome, cost: RequestCost, elapsed: float, signal: str) -> Measure | None:
    """What a success says in terms of `signal`, or of the best signal that it has for `auto`.

    `elapsed` are the seconds that the call was out. `None` if the
    answer does not have the signal, or has nonsense for it.
    """
    for name in SIGNALS if signal == "auto" else (signal,):
        found = _measure(outcome, cost, elapsed, name)
        if found is not None:
            return found
    return None


def _measure(outcome: RequestReleaseOutcome, cost: RequestCost, elapsed: float, signal: str) -> Measure | None:
    seconds = outcome.first_token_at if signal == "first_token" else elapsed
    if seconds is None or not isfinite(seconds) or seconds <= 0:
        return None
    if signal != "output_token":
        return Measure(signal, seconds)
    tokens = cost.output_tokens if outcome.usage is None else outcome.usage.output_tokens
    return Measure(signal, seconds, tokens) if tokens else None
