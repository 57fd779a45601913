"""A poller, as long as a block runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from penstock_wire.given import require_trio
from penstock_wire.poller import Poller

__all__ = ["open_poller"]


@asynccontextmanager
async def open_poller() -> AsyncIterator[Poller]:
    """A poller while the block runs. Its task is one of trio's own, so that what the block raises comes out as it is.

    Raises `RuntimeError` on a system that has neither epoll nor kqueue, and outside of a trio run.
    """
    require_trio("penstock-wire")
    poller = Poller()
    trio.lowlevel.spawn_system_task(poller.run, name="penstock poller")
    try:
        yield poller
    finally:
        poller.close()
