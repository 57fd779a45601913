"""The sockets of a poller where there is no epoll: in a kqueue, by way of `selectors`."""

from __future__ import annotations

import selectors
import socket
from typing import Final

from penstock_wire.polled import Polled

__all__ = ["Selected"]

_BOTH: Final = selectors.EVENT_READ | selectors.EVENT_WRITE


class Selected:
    """As `Epoll`. Raises `RuntimeError` on a system that has no kqueue either."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        number = getattr(self._selector, "fileno", None)
        if number is None:
            raise RuntimeError("sockets that call back need epoll or kqueue, and this system has neither")
        self.fileno: int = number()

    def watch(self, sock: socket.socket, polled: Polled, events: int, before: int) -> None:
        events, before = events & _BOTH, before & _BOTH
        if events == before:
            return
        if not events:
            self._selector.unregister(sock)
        elif before:
            self._selector.modify(sock, events, polled)
        else:
            self._selector.register(sock, events, polled)

    def ready(self) -> list[tuple[Polled, int]]:
        return [(key.data, events) for key, events in self._selector.select(0)]

    def close(self) -> None:
        self._selector.close()
