"""A small HTTP/1.1 client for trio, for calls to model APIs."""

from __future__ import annotations

from penstock_wire.answer import AnswerParser
from penstock_wire.calls import CallReceiver, CallsClient, PolledCall
from penstock_wire.channel import Channel, Receiver
from penstock_wire.client import WireAnswer, WireCall, WireClient
from penstock_wire.errors import BadAnswer, CannotConnect, ConnectionLost, WireError
from penstock_wire.idle import IdleConnections
from penstock_wire.moments import Moment, Moments
from penstock_wire.polled import Polled
from penstock_wire.poller import Poller
from penstock_wire.polling import open_poller
from penstock_wire.request import RequestHead
from penstock_wire.secured import Secured
from penstock_wire.target import Target, tls_context

__all__ = [
    "AnswerParser",
    "BadAnswer",
    "CallReceiver",
    "CallsClient",
    "CannotConnect",
    "Channel",
    "ConnectionLost",
    "IdleConnections",
    "Moment",
    "Moments",
    "Polled",
    "PolledCall",
    "Poller",
    "Receiver",
    "RequestHead",
    "Secured",
    "Target",
    "WireAnswer",
    "WireCall",
    "WireClient",
    "WireError",
    "open_poller",
    "tls_context",
]
