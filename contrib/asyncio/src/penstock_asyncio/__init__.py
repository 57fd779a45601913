"""The request gate for programs on asyncio and for plain threads: a run in a thread of its own, and doors to it."""

from __future__ import annotations

from penstock_asyncio.attempt import Attempt, DetachedAttempt
from penstock_asyncio.block import RequestBlock, SyncRequestBlock
from penstock_asyncio.gate import Gate, SyncGate
from penstock_asyncio.opening import GateBlock, SyncGateBlock, open_gate, open_gate_sync

__all__ = [
    "Attempt",
    "DetachedAttempt",
    "Gate",
    "GateBlock",
    "RequestBlock",
    "SyncGate",
    "SyncGateBlock",
    "SyncRequestBlock",
    "open_gate",
    "open_gate_sync",
]
