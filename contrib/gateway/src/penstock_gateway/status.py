"""The status of a gateway, for the page at `/status`: its limits, who waits for what, its keys and its workers.

The page is one file (`status.html`) that asks for `/status.json` every other second. Names and words of others are made
printable here, and put in as text there.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import msgspec

import penstock
from penstock import printable
from penstock_gateway.config import KeyConfig
from penstock_gateway.metrics import Metrics
from penstock_gateway.spending.at_work import SpendingAtWork

__all__ = ["WorkerStanding", "status_json", "status_page"]

Headers = list[tuple[bytes, bytes]]


@attrs.frozen
class WorkerStanding:
    """A process that serves clients."""

    name: str
    pid: int
    connections: int


@cache
def status_page() -> tuple[Headers, bytes]:
    """The page, which runs nothing but its own script, and asks nobody but this gateway."""
    page = Path(__file__).with_name("status.html").read_bytes()
    script = re.search(rb"<script>(.*?)</script>", page, re.DOTALL)
    assert script is not None
    digest = b64encode(sha256(script[1]).digest())
    rules = (
        b"default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        b"frame-ancestors 'none'; script-src 'sha256-%s'" % digest
    )
    return [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", rules),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ], page


def status_json(
    scheduler: penstock.Scheduler,
    spending: SpendingAtWork,
    metrics: Metrics,
    keys: Mapping[str, KeyConfig],
    workers: Sequence[WorkerStanding],
    *,
    now: float,
    up: float,
    connections_limit: int,
    draining: bool,
) -> tuple[Headers, bytes]:
    """The figures. `up` is how long it has served, in seconds. Costs the number of the calls in line."""
    status = {
        "at": f"{datetime.fromtimestamp(spending.wall(now), UTC):%Y-%m-%d %H:%M:%S} UTC",
        "run": scheduler.run_id,
        "up": round(up, 1),
        "draining": draining,
        "connections": sum(worker.connections for worker in workers),
        "connections_limit": connections_limit,
        "alarms": list(_alarms(scheduler, spending)),
        "limits": list(_limits(scheduler, now)),
        "waiting": list(_waiting(scheduler)),
        "keys": list(_keys(scheduler, metrics, keys)),
        "quotas": [
            {"key": key, **attrs.asdict(quota)} for key, those in spending.standing(now).items() for quota in those
        ],
        "workers": [attrs.asdict(worker) for worker in workers],
    }
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    return headers, msgspec.json.encode(_safe(status))


def _alarms(scheduler: penstock.Scheduler, spending: SpendingAtWork) -> Iterable[str]:
    ledger = spending.ledger
    if ledger is not None and ledger.failing:
        yield f"The ledger {ledger.path} has not been written for {ledger.behind:.0f} s: {ledger.failing}"
    for model in scheduler.requests.given_up():
        yield str(model)


def _limits(scheduler: penstock.Scheduler, now: float) -> Iterable[dict[str, Any]]:
    plan = scheduler.capacity_plan()
    caps, most = plan.configured.request_resources, plan.observed_maxima
    for resource, snapshot in scheduler.requests.controller.pressure.snapshots(now).items():
        limit = snapshot.effective_max if snapshot.current_limit is None else snapshot.current_limit
        yield {
            "model": str(resource.provider_model),
            "domain": resource.domain,
            "limit": limit,
            "in_flight": snapshot.in_flight_count,
            "waiting": snapshot.waiters,
            "cap": caps[str(resource)].value,
            "cap_by": caps[str(resource)].where,
            "most_in_flight": most.request_in_flight_by_resource[str(resource)],
            "most_waiting": most.request_waiters_by_resource[str(resource)],
            "blocked_for": round(snapshot.cooldown_remaining, 1),
        }


def _waiting(scheduler: penstock.Scheduler) -> Iterable[dict[str, Any]]:
    for standing in scheduler.requests.explanation().resources:
        for refused in standing.refusals:
            known = attrs.asdict(refused, filter=lambda field, _: field.name not in ("labels", "moment"))
            yield {"resource": standing.resource, **known}


def _keys(scheduler: penstock.Scheduler, metrics: Metrics, keys: Mapping[str, KeyConfig]) -> Iterable[dict[str, Any]]:
    queued = scheduler.requests.controller.queue_view.queued_by_group
    for key, config in sorted(keys.items()):
        waits = metrics.waits.get(key)
        count = 0 if waits is None else sum(waits.counts)
        yield {
            "key": key,
            "weight": config.weight,
            "waiting": queued.get(key, 0),
            "calls": sum(many for (whose, _, _), many in metrics.calls.items() if whose == key),
            "refused": sum(many for (whose, _), many in metrics.refused.items() if whose == key),
            "tokens_in": sum(many for (whose, _, way), many in metrics.tokens.items() if (whose, way) == (key, "in")),
            "tokens_out": sum(many for (whose, _, way), many in metrics.tokens.items() if (whose, way) == (key, "out")),
            "cost": round(sum(much for (whose, _), much in metrics.cost.items() if whose == key), 6),
            "mean_wait": None if waits is None or not count else round(waits.total / count, 3),
        }


def _safe(value: Any) -> Any:
    """The same with every text printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {name: _safe(each) for name, each in value.items()}
    return [_safe(each) for each in value] if isinstance(value, list | tuple) else value
