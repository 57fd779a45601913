"""What is true of a gateway now, as figures: limits, what is in flight, who waits for what, what keys have used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import penstock
from penstock_gateway.metrics import Labels
from penstock_gateway.spending.at_work import SpendingAtWork

__all__ = ["gauges_of"]


def gauges_of(
    scheduler: penstock.Scheduler, spending: SpendingAtWork, keys: Iterable[str], now: float
) -> dict[str, dict[Labels, float]]:
    """The gauges of the gate and of its ledger, by name. Costs the number of the calls in line."""
    in_flight: dict[Labels, float] = {}
    waiting: dict[Labels, float] = {}
    limits: dict[Labels, float] = {}
    requests = scheduler.requests
    for resource, snapshot in requests.controller.pressure.snapshots(now).items():
        labels = (("model", str(resource.provider_model)), ("domain", resource.domain))
        in_flight[labels], waiting[labels] = snapshot.in_flight_count, snapshot.waiters
        limit = snapshot.effective_max if snapshot.current_limit is None else snapshot.current_limit
        if limit is not None:
            limits[labels] = limit
    waiting_for: Counter[Labels] = Counter()
    for standing in requests.explanation().resources:
        for refused in standing.refusals:
            why = (("resource", standing.resource), ("reason", refused.reason), ("by", refused.by))
            waiting_for[why] += refused.waiting
    groups = requests.controller.queue_view.queued_by_group
    gauges: dict[str, dict[Labels, float]] = {
        "penstock_in_flight": in_flight,
        "penstock_limit": limits,
        "penstock_waiting": waiting,
        "penstock_key_waiting": {(("key", name),): groups.get(name, 0) for name in keys},
        "penstock_waiting_for": dict(waiting_for),
    }
    if spending.ledger is not None:
        gauges["penstock_key_used"] = {
            (("key", key), ("quota", quota.quota)): round(quota.share, 6)
            for key, quotas in spending.standing(now).items()
            for quota in quotas
        }
        gauges["penstock_ledger_behind_seconds"] = {(): round(spending.ledger.behind, 3)}
    return gauges
