"""What is true of a gateway now, as figures: limits, what is in flight, who waits for what, what keys have used."""

from __future__ import annotations

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
    waiting_for: dict[Labels, float] = {}
    figures = scheduler.figures()
    for calls in figures.calls:
        model = f"{calls.provider}/{calls.model}"
        labels = (("model", model), ("domain", calls.domain))
        in_flight[labels], waiting[labels] = calls.active, calls.waiting
        if calls.limit is not None:
            limits[labels] = calls.limit
        for why in calls.waits_for:
            because = (("resource", f"{model}/{calls.domain}"), ("reason", why.reason), ("by", why.by))
            waiting_for[because] = why.waiting
    tenants = {tenant.group: tenant.waiting for tenant in figures.tenants}
    gauges: dict[str, dict[Labels, float]] = {
        "penstock_in_flight": in_flight,
        "penstock_limit": limits,
        "penstock_waiting": waiting,
        "penstock_key_waiting": {(("key", name),): tenants.get(name, 0) for name in keys},
        "penstock_waiting_for": waiting_for,
    }
    if spending.ledger is not None:
        gauges["penstock_key_used"] = {
            (("key", key), ("quota", quota.quota)): round(quota.share, 6)
            for key, quotas in spending.standing(now).items()
            for quota in quotas
        }
        gauges["penstock_ledger_behind_seconds"] = {(): round(spending.ledger.behind, 3)}
    return gauges
