"""The doors of the httpx2 transports: the gate seen from an event loop, and from plain threads."""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import cast

import penstock
from penstock_asyncio.call import Call, Port
from penstock_asyncio.ports import Ports
from penstock_asyncio.run import GateRun
from penstock_httpx import Admit, Exchange

__all__ = ["GateAsyncDoor", "GateThreadDoor"]


class GateCrossing:
    """The way into the gate's thread, which nobody waits for."""

    def __init__(self, run: GateRun) -> None:
        self._run = run
        self._thread = get_ident()

    def now(self) -> float:
        """The gate's clock."""
        return self._run.clock.current_time()

    def do(self, step: Callable[[], None]) -> bool:
        """True: the step will be done in its turn, if the gate has not ended."""
        if get_ident() == self._thread:
            step()
        else:
            self._run.inbox.post(step)
        return True

    def post(self, step: Callable[[], None]) -> None:
        """Have the step done soon."""
        self._run.inbox.post(step)


class GateAsyncDoor:
    """The gate for the callers of event loops."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def open(self, admit: Admit) -> Exchange:
        """The exchange that `admit` makes in the gate's thread. Raises what it raises."""
        port = self._ports.of_loop()
        return cast(Exchange, await port.ask(_admission(self._ports.run, port, admit)))


class GateThreadDoor:
    """The gate for plain threads."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def open(self, admit: Admit) -> Exchange:
        """The exchange that `admit` makes in the gate's thread; blocks until then. Raises what it raises."""
        port = self._ports.of_thread()
        return cast(Exchange, port.ask(_admission(self._ports.run, port, admit)))

    def raise_if_cancelled(self) -> None:
        """Nothing: nobody can cancel a plain thread."""


def _admission(run: GateRun, port: Port, admit: Admit) -> Call:
    async def work(_: Call, executor: penstock.ModelRequestExecutor) -> Exchange:
        exchange = await admit(executor, GateCrossing(run))
        run.exchanges[exchange] = port
        return exchange

    return Call(port, work, _not_begun)


def _not_begun(exchange: Exchange) -> None:
    exchange.abandoned("cancelled before it began")
