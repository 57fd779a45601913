"""Admission as an httpx2 transport: each request that a client sends is admitted, classified and released."""

from __future__ import annotations

from penstock_httpx.crossing import Crossing
from penstock_httpx.description import NO_MODEL, RequestDescription, describe_openai
from penstock_httpx.door import Admit, AsyncDoor, ThreadDoor
from penstock_httpx.exchange import Exchange
from penstock_httpx.thread_transport import ThreadAdmissionTransport
from penstock_httpx.transport import AdmissionTransport

__all__ = [
    "NO_MODEL",
    "AdmissionTransport",
    "Admit",
    "AsyncDoor",
    "Crossing",
    "Exchange",
    "RequestDescription",
    "ThreadAdmissionTransport",
    "ThreadDoor",
    "describe_openai",
]
