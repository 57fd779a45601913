"""Several endpoints of one model: keys, regions or deployments, each under limits of its own."""

from __future__ import annotations

from penstock_endpoints.config import EndpointConfig, EndpointModelConfig, Expanded, expand
from penstock_endpoints.order import EndpointStanding, by_calls_ahead
from penstock_endpoints.places import Endpoints

__all__ = [
    "EndpointConfig",
    "EndpointModelConfig",
    "EndpointStanding",
    "Endpoints",
    "Expanded",
    "by_calls_ahead",
    "expand",
]
