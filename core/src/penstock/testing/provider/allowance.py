"""The calls that the true limits would have allowed, against which a client's achieved rate is measured.

The limits are taken as a fluid: `slots` calls at a time give slots ÷ mean latency calls a second, and each bucket that
has run dry gives its refill rate; the slowest wins. Between two changes of the schedule nothing else changes, except
that a bucket runs dry: so the sum over those stretches is exact for the fluid, and no step size has to be chosen. The
buckets are taken as full at the start of the window, which makes the figure an upper bound.
"""

from __future__ import annotations

import itertools
import math

from attrs import define

from penstock.testing.provider.limits import ProviderLimits

__all__ = ["allowed_calls"]

_DRY = 1e-9


@define
class _Tank:
    level: float
    rate: float
    burst: float


def allowed_calls(limits: ProviderLimits, begin: float, end: float, tokens_per_call: float | None) -> float:
    """The calls that `limits` allow from second `begin` to second `end` of the endpoint's life, a fraction included.

    `tokens_per_call` is the mean of true tokens; without it a limit on tokens counts for nothing. Infinite
    if nothing limits the calls.
    """
    tanks = []
    if limits.rpm is not None:
        tanks.append(_Tank(limits.request_burst, limits.rpm / 60, limits.request_burst))
    if limits.tpm is not None and tokens_per_call:
        burst = limits.token_burst / tokens_per_call
        tanks.append(_Tank(burst, limits.tpm / 60 / tokens_per_call, burst))
    return sum(_flow(_speed(limits, at), until - at, tanks) for at, until in _stretches(limits, begin, end))


def _stretches(limits: ProviderLimits, begin: float, end: float) -> list[tuple[float, float]]:
    """The window, cut wherever slots or an outage change."""
    cuts = {begin, end}
    if limits.outage is not None:
        cuts.update(edge for edge in limits.outage if begin < edge < end)
    at = limits.next_change(begin)
    while at is not None and at < end:
        cuts.add(at)
        at = limits.next_change(at)
    edges = sorted(cuts)
    return list(itertools.pairwise(edges))


def _speed(limits: ProviderLimits, at: float) -> float:
    """Calls a second that the slots allow just after `at`."""
    if limits.in_outage(at):
        return 0.0
    slots = limits.slots_at(at)
    if slots is None:
        return math.inf
    if limits.latency.mean == 0:
        return math.inf if slots else 0.0
    return slots / limits.latency.mean


def _flow(speed: float, left: float, tanks: list[_Tank]) -> float:
    """Calls that pass within `left` seconds at `speed`; drains and refills the tanks."""
    if math.isinf(speed) and not tanks:
        return math.inf
    passed = 0.0
    while left > 0:
        if math.isinf(speed) and all(tank.level > _DRY for tank in tanks):
            at_once = min(tank.level for tank in tanks)
            passed += at_once
            for tank in tanks:
                tank.level -= at_once
        pace = min([speed, *(tank.rate for tank in tanks if tank.level <= _DRY)])
        step = left
        for tank in tanks:
            if tank.level > _DRY and pace > tank.rate:
                step = min(step, tank.level / (pace - tank.rate))
        passed += pace * step
        for tank in tanks:
            tank.level = min(tank.burst, tank.level + (tank.rate - pace) * step)
        left -= step
    return passed
