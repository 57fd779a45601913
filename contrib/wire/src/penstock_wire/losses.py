"""Connections that break while nobody reads them: an epoll that is asked for nothing tells that all the same.

A selector knows no such question, and leaves a socket out that is neither read nor written. So these sockets lie in an
epoll of their own, which is itself a socket that can be read as soon as one of them has broken.
"""

from __future__ import annotations

import logging
import select
import socket
import sys
from collections.abc import Callable

__all__ = ["Losses"]

_log = logging.getLogger("penstock.wire")


class Losses:
    """The sockets of which it is to be told that their connections have broken. There is no epoll before the first."""

    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        self._callbacks: dict[int, Callable[[], None]] = {}

    def watch(self, sock: socket.socket, on_loss: Callable[[], None]) -> bool:
        """Whether `on_loss` will be called, once, when the connection breaks: on Linux."""
        if sys.platform != "linux":
            return False
        if self._epoll is None:
            self._epoll = select.epoll()
        number = sock.fileno()
        self._epoll.register(number, 0)  # what breaks is told whatever is asked for
        self._callbacks[number] = on_loss
        return True

    def forget(self, sock: socket.socket) -> None:
        """Tell nothing of a socket, which may not have been watched."""
        if self._callbacks.pop(sock.fileno(), None) is not None and self._epoll is not None:
            self._epoll.unregister(sock)

    def fileno(self) -> int:
        """The number of the epoll. For one that watches."""
        assert self._epoll is not None
        return self._epoll.fileno()

    def ready(self, _: int) -> None:
        """Some have broken."""
        assert self._epoll is not None
        for number, _ in self._epoll.poll(0):
            on_loss = self._callbacks.pop(number, None)
            if on_loss is None:
                continue  # forgotten by one before it
            self._epoll.unregister(number)
            try:
                on_loss()
            except Exception:
                _log.exception("a connection that has broken was not given up, by a fault of the program's own")

    def failed(self) -> None:
        """Never: what a callback raises is logged."""

    def close(self) -> None:
        """Tell nothing any more."""
        if self._epoll is not None:
            self._epoll.close()
