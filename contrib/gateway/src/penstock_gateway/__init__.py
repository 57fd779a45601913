"""A gateway that speaks the dialects of OpenAI and Anthropic, and queues fairly instead of refusing."""

from __future__ import annotations

from penstock_gateway.call_body import CallBody
from penstock_gateway.config import AdminConfig, AliasConfig, GatewayConfig, KeyConfig
from penstock_gateway.keys import KeyRing
from penstock_gateway.loading import Serving, load_gateway
from penstock_gateway.refusal import Refusal
from penstock_gateway.request_parser import ClientRequest, RequestParser
from penstock_gateway.server import Gateway, open_gateway

__all__ = [
    "AdminConfig",
    "AliasConfig",
    "CallBody",
    "ClientRequest",
    "Gateway",
    "GatewayConfig",
    "KeyConfig",
    "KeyRing",
    "Refusal",
    "RequestParser",
    "Serving",
    "load_gateway",
    "open_gateway",
]
