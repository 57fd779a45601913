"""The figures of a run, worked out from its log, in the words of the scenario file.

`goodput`, `refused` and the waits are there for every run; the others where the scenario has what they are about. A
figure that cannot be measured is left out. Windows are cut off when no call waits any more: what is measured is what a
provider is given while there is work.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from penstock.testing.provider.allowance import allowed_calls
from penstock.testing.provider.limits import ProviderLimits
from penstock.testing.scenarios.log import Done, RunLog
from penstock.testing.scenarios.scenario import Scenario

__all__ = ["figures_of", "ideal_seconds"]

WINDOW = 10.0
"""Seconds over which a rate is taken, where the moment is asked for at which it is reached."""
SHORTEST_WINDOW = 5.0
"""Seconds; a rate over less says nothing."""
NORMAL_P95 = 1.6448536269514722


def figures_of(scenario: Scenario, log: RunLog) -> dict[str, float]:
    """The figures that the scenario and its log give, but for those against a run alone."""
    judged = [done for done in log.done if done.provider in scenario.judged]
    calls = scenario.calls * len(scenario.judged)
    begin = 0.0
    if scenario.quiet is not None:
        calls, begin = calls + scenario.quiet.calls, scenario.quiet.seconds
    refused = sum(one.provider in scenario.judged for one in log.refused)
    figures = {
        "refused": refused / calls,
        "refusals": float(refused),
        "lost": float(calls - len(judged)),
        "unended": float(calls + (scenario.large.calls if scenario.large else 0) - len(judged) - log.given_up),
        "limit_falls": float(log.limit_falls),
        "leases_left": float(log.leases_left),
    }
    if len(log.refused) >= 3:
        third = log.refused[2].at
        figures["sent_after_third"] = float(sum(one.at > third for one in log.sent))
    if log.large_refused:
        figures["large_refusals"] = float(max(log.large_refused.values()))
    if not judged:
        return figures
    ideal = max(
        ideal_seconds(scenario, name, scenario.calls, log.true_tokens, _luck(scenario, name, judged, begin))
        for name in scenario.judged
    )
    if math.isfinite(ideal) and len(judged) == calls:
        taken = judged[-1].at - begin
        figures["goodput"], figures["ratio"] = ideal / taken, taken / ideal
    waits = sorted(done.sent_at for done in judged)
    figures["p50_wait"], figures["p95_wait"] = _quantile(waits, 0.5), _quantile(waits, 0.95)
    if scenario.tenants:
        figures |= _shares(scenario, log)
    if len(scenario.providers) == 1:
        (limits,) = scenario.providers.values()
        figures |= _of_one_provider(scenario, limits, log)
    return figures


def _luck(scenario: Scenario, provider: str, judged: Sequence[Done], begin: float) -> float:
    """The mean latency of the calls of a run by that of their distribution, where the ideal is about their own work."""
    mean = scenario.providers[provider].latency.mean
    latencies = [done.latency for done in judged if done.provider == provider and done.at >= begin]
    if scenario.ideal != "work" or not mean or not latencies:
        return 1.0
    return sum(latencies) / len(latencies) / mean


def ideal_seconds(scenario: Scenario, provider: str, calls: int, true_tokens: int, luck: float = 1.0) -> float:
    """The seconds that the calls to one provider take at best; infinite if nothing limits them, or nothing is
    answered. `luck`: how long they took, by the mean latency.
    """
    if scenario.ideal_tokens_per_second is not None:
        return true_tokens / scenario.ideal_tokens_per_second
    if not isinstance(scenario.ideal, str):
        return scenario.ideal
    limits = scenario.providers[provider]
    needed = calls * luck
    if limits.hang_share and scenario.client_timeout is not None and limits.latency.mean:
        # for every call that is answered so many others have held a place until the client gave up
        hung = limits.hang_share / (1 - limits.hang_share) if limits.hang_share < 1 else math.inf
        needed *= 1 + hung * scenario.client_timeout / limits.latency.mean
    tokens = true_tokens / calls if true_tokens else None
    late = 1.0
    while allowed_calls(limits, 0.0, late, tokens) < needed:
        late *= 2
        if late > 1e9:
            return math.inf
    if math.isinf(allowed_calls(limits, 0.0, late, tokens)):
        return math.inf
    early = 0.0
    while late - early > 1e-6 * late:
        middle = (early + late) / 2
        if allowed_calls(limits, 0.0, middle, tokens) < needed:
            early = middle
        else:
            late = middle
    return late


def _of_one_provider(scenario: Scenario, limits: ProviderLimits, log: RunLog) -> dict[str, float]:
    figures: dict[str, float] = {}
    ends = [done.at for done in log.done]
    busy_until = log.sent[-1].at
    if len(limits.steps) > 1:
        shortfalls = [
            1 - _rate(ends, begin, end) * limits.latency.mean / slots
            for begin, end, slots in _settled(limits, scenario.after_seconds, busy_until)
        ]
        if shortfalls:
            figures["within"] = max(0.0, *shortfalls)
    if limits.outage is not None:
        figures |= _after_outage(scenario, limits, log, ends, busy_until)
    if limits.slots is not None:
        figures["in_flight"] = _mean_in_flight(log, busy_until)
    usual = _p95_of(limits)
    if usual > 0:
        figures["p95_latency_ratio"] = _quantile(sorted(done.latency for done in log.done), 0.95) / usual
    return figures


def _settled(limits: ProviderLimits, after: float, until: float) -> Iterator[tuple[float, float, int]]:
    """The windows from so long after each change of the slots to the next, or to the last call; and the slots then."""
    moments = [*(step[0] for step in limits.steps), math.inf]
    for (second, slots), (_, following) in zip(limits.steps, pairwise(moments), strict=True):
        begin, end = second + after, min(following, until)
        if slots and end - begin >= SHORTEST_WINDOW:
            yield begin, end, slots


def _after_outage(
    scenario: Scenario, limits: ProviderLimits, log: RunLog, ends: Sequence[float], busy_until: float
) -> dict[str, float]:
    """The figures of an outage: how often the provider was asked, and how soon and how well it was used afterwards.

    `probes_per_cooldown`: the most calls that went out between one refusal and the next, from the first refusal of the
    outage on.
    """
    assert limits.outage is not None
    begin, end = limits.outage
    refused = [one.at for one in log.refused if begin < one.at]
    figures: dict[str, float] = {}
    probes = Counter(
        bisect_right(refused, one.at) for one in log.sent if refused and refused[0] <= one.at and begin <= one.at < end
    )
    if probes:
        figures["probes_per_cooldown"] = float(max(probes.values()))
    slots = limits.slots_at(end)
    if not slots or not limits.latency.mean:
        return figures
    capacity = slots / limits.latency.mean
    recovered, within = scenario.bound("recovered"), scenario.bound("within_seconds")
    wanted = capacity * (0.9 if recovered is None else recovered.least or 0.0)
    for moment in [end, *ends[bisect_left(ends, end) :]]:
        if moment + WINDOW <= busy_until and _rate(ends, moment, moment + WINDOW) >= wanted:
            figures["within_seconds"] = moment - end
            break
    settled = end + (30.0 if within is None else within.most or 0.0)
    if busy_until - settled >= SHORTEST_WINDOW:
        figures["recovered"] = _rate(ends, settled, busy_until) / capacity
    return figures


def _shares(scenario: Scenario, log: RunLog) -> dict[str, float]:
    """The figures that compare what was admitted while all tenants were backlogged with their weights.

    `share_error`: the largest difference between a tenant's share and that of its weight, as a part of the latter.
    `fairness`: Jain's index (Jain, Chiu and Hawe, 1984) of calls per weight; 1 is fair.
    """
    served: Counter[str] = Counter(done.tenant for done in log.done if done.sent_at < log.first_idle_at)
    total, weights = served.total(), sum(tenant.weight for tenant in scenario.tenants.values())
    if not total:
        return {}
    errors = [abs(served[name] / total / (tenant.weight / weights) - 1) for name, tenant in scenario.tenants.items()]
    each = [served[name] / tenant.weight for name, tenant in scenario.tenants.items()]
    return {"share_error": max(errors), "fairness": sum(each) ** 2 / (len(each) * sum(one * one for one in each))}


def _mean_in_flight(log: RunLog, until: float) -> float:
    area = sum(count * (min(after, until) - at) for (at, count), (after, _) in pairwise(log.in_flight) if at < until)
    return area / until if until else 0.0


def _rate(ends: Sequence[float], begin: float, end: float) -> float:
    return (bisect_left(ends, end) - bisect_left(ends, begin)) / (end - begin)


def _p95_of(limits: ProviderLimits) -> float:
    latency = limits.latency
    if not latency.mean:
        return 0.0
    return math.exp(math.log(latency.mean) - latency.sigma**2 / 2 + NORMAL_P95 * latency.sigma)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that is not below so large a share of all ("nearest rank")."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
