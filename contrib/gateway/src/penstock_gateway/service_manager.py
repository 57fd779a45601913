"""What whoever started a gateway as a service is told: that it serves, that it ends, and again and again that it lives.

The words are those of systemd's sd_notify(3), a datagram to the socket that `$NOTIFY_SOCKET` names. With `WatchdogSec=`
in the unit a gateway whose loop hangs, by a plugin that never returns, is ended and started anew: nobody else watches a
gateway of one process.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from math import inf
from typing import Final

import trio

__all__ = ["LIVES", "READY", "STOPPING", "ServiceManager"]

READY: Final = b"READY=1"
STOPPING: Final = b"STOPPING=1"
LIVES: Final = b"WATCHDOG=1"
_SELDOM: Final = 3600.0
"""Seconds."""


class ServiceManager:
    """Who started this process, as its environment says; nobody, where that says nothing.

    `beat` is how often to say that it lives, in seconds: twice in the time after which it would count as hanging, at
    least once an hour, and `inf` where nobody listens for it.
    """

    def __init__(self, environment: Mapping[str, str], process: int) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.beat = inf
        asked = environment.get("WATCHDOG_USEC", "")
        microseconds = int(asked) if asked.isdecimal() else 0
        if self._address and environment.get("WATCHDOG_PID", str(process)) == str(process) and microseconds:
            self.beat = min(max(microseconds / 1_000_000 / 2, 0.01), _SELDOM)

    def tell(self, word: bytes) -> None:
        """Tell it. Who does not listen is not told, and nothing waits for that."""
        if self._address and sys.platform != "win32":
            with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(word, self._address)

    async def tell_life(self) -> None:
        """Say again and again that the loop goes round, until cancelled."""
        while self.beat < inf:
            self.tell(LIVES)
            await trio.sleep(self.beat)
