"""Connections taken in while there is room for them. Where there is none, whoever connects waits, and nobody is cut."""

from __future__ import annotations

import errno
import logging
from typing import Final

import trio

from penstock import own_shortage

__all__ = ["PatientListener"]

_log: Final = logging.getLogger("penstock.gateway")
_SHORTAGES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_FILES: Final = (errno.EMFILE, errno.ENFILE)
PAUSE: Final = 0.1
"""Seconds until it is tried again."""
TOLD_EVERY: Final = 60.0
"""Seconds, at least, between two lines that say so."""


class PatientListener(trio.abc.Listener[trio.SocketStream]):
    """A listener that waits where the system has no room for a connection more."""

    def __init__(self, listener: trio.abc.Listener[trio.SocketStream]) -> None:
        self._listener = listener
        self._told_at: float | None = None

    async def accept(self) -> trio.SocketStream:
        """The next connection."""
        while True:
            try:
                return await self._listener.accept()
            except OSError as error:
                if error.errno not in _SHORTAGES:
                    raise
                self._tell(error, trio.current_time())
            await trio.sleep(PAUSE)

    async def aclose(self) -> None:
        """Listen no more."""
        await self._listener.aclose()

    def _tell(self, error: OSError, now: float) -> None:
        if self._told_at is not None and now - self._told_at < TOLD_EVERY:
            return
        self._told_at = now
        raise_it = "; raise `ulimit -n`" if error.errno in _FILES else ""
        _log.warning("clients wait to be connected: %s%s", own_shortage(error) or error.strerror, raise_it)
