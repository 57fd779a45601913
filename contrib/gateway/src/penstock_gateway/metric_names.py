"""Every figure at `/metrics`: its name, what kind it is, its labels, and what it means.

Labels are names of the configuration, statuses and the words of a list: what clients send makes no new series. A test
holds the table in docs/gateway.md to this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import attrs

__all__ = ["METRICS", "Metric"]


@attrs.frozen
class Metric:
    """One figure. `labels` are those of all its series."""

    kind: Literal["counter", "gauge", "histogram"]
    what: str
    labels: tuple[str, ...] = ()


METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "penstock_calls_total": Metric(
            "counter", "Calls, by the status of their answer; 0: the client left before.", ("key", "model", "status")
        ),
        "penstock_refused_total": Metric(
            "counter", "Calls that the gateway refused, by the code of the refusal.", ("key", "reason")
        ),
        "penstock_provider_429_total": Metric(
            "counter", "Calls that a provider, or one of its endpoints, refused with 429.", ("model", "provider")
        ),
        "penstock_tokens_total": Metric(
            "counter", "Tokens, as told; of a stream that broke off, by its text.", ("key", "model", "direction")
        ),
        "penstock_cost_total": Metric(
            "counter", "What calls have cost, in the money of the models' prices.", ("key", "model")
        ),
        "penstock_lost_log_lines_total": Metric("counter", "Lines of the log that were lost."),
        "penstock_connections": Metric("gauge", "Clients that are connected."),
        "penstock_in_flight": Metric("gauge", "Calls at providers.", ("model", "domain")),
        "penstock_limit": Metric("gauge", "Calls in flight that are allowed now.", ("model", "domain")),
        "penstock_waiting": Metric("gauge", "Calls in line.", ("model", "domain")),
        "penstock_key_waiting": Metric("gauge", "Calls in line, by key.", ("key",)),
        "penstock_waiting_for": Metric(
            "gauge", "Calls in line, by what they are refused for now, and by whom.", ("resource", "reason", "by")
        ),
        "penstock_key_used": Metric(
            "gauge", "Of a key's limit per day or month, what is used by now: 1 is the whole.", ("key", "quota")
        ),
        "penstock_ledger_behind_seconds": Metric(
            "gauge", "The age of what was used and does not stand in the ledger yet."
        ),
        "penstock_wait_seconds": Metric("histogram", "What admitted calls have waited.", ("key",)),
        "penstock_answer_seconds": Metric("histogram", "From admission to the end of the answer.", ("model",)),
    }
)
"""By name, in the order of the page."""
