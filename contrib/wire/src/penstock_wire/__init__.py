"""A small HTTP/1.1 client for trio, for calls to model APIs."""

from __future__ import annotations

from penstock_wire.answer import AnswerParser
from penstock_wire.client import WireAnswer, WireCall, WireClient, tls_context
from penstock_wire.errors import BadAnswer, CannotConnect, ConnectionLost, WireError
from penstock_wire.idle import IdleConnections
from penstock_wire.request import RequestHead

__all__ = [
    "AnswerParser",
    "BadAnswer",
    "CannotConnect",
    "ConnectionLost",
    "IdleConnections",
    "RequestHead",
    "WireAnswer",
    "WireCall",
    "WireClient",
    "WireError",
    "tls_context",
]
