"""What plugin authors test with: contract suites, a simulated provider, virtual time."""

from __future__ import annotations

from penstock.testing.limiter_contract import LimiterDriver, RequestLimiterContract
from penstock.testing.provider import (
    Granted,
    Hanging,
    KeyReport,
    Latency,
    ModelReport,
    ProviderLimits,
    Queued,
    Ramp,
    Refused,
    RetryAfterForm,
    SimulatedModel,
    Started,
    Ticket,
    limits_from_mapping,
)
from penstock.testing.sink_contract import SinkContract, one_of_each_event

__all__ = [
    "Granted",
    "Hanging",
    "KeyReport",
    "Latency",
    "LimiterDriver",
    "ModelReport",
    "ProviderLimits",
    "Queued",
    "Ramp",
    "Refused",
    "RequestLimiterContract",
    "RetryAfterForm",
    "SimulatedModel",
    "SinkContract",
    "Started",
    "Ticket",
    "limits_from_mapping",
    "one_of_each_event",
]
