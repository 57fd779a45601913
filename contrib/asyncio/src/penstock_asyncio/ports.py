"""The ways of a gate to all who call it: one for each event loop, and one for blocked threads.

Whatever leads to a gate holds this: when nothing does any more, the gate is closed.
"""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary, finalize

from penstock_asyncio.loop_port import LoopPort
from penstock_asyncio.run import GateRun
from penstock_asyncio.thread_port import ThreadPort

__all__ = ["Ports"]


class Ports:
    """The ports of one gate."""

    def __init__(self, run: GateRun) -> None:
        self.run = run
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopPort] = WeakKeyDictionary()
        self._threads = ThreadPort(run)
        finalize(self, run.close, at_once=True).atexit = False

    def of_loop(self) -> LoopPort:
        """The port of the event loop that runs here. Raises `RuntimeError` if none does, or the gate is closed."""
        self.run.require()
        loop = asyncio.get_running_loop()
        port = self._loops.get(loop)
        if port is None:
            port = self._loops[loop] = LoopPort(loop, self.run)
        return port

    def of_thread(self) -> ThreadPort:
        """The port of threads. Raises `RuntimeError` if the gate is closed, or an event loop runs in this one."""
        self.run.require()
        self._threads.require()
        return self._threads

    def close(self) -> None:
        """The gate has ended: event loops need not know it any more."""
        for port in tuple(self._loops.values()):
            port.close()
