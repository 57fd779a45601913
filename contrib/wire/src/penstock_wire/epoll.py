"""Sockets in one epoll, each with whom it is of. `selectors` has the same, and takes more time for each event than a
small message is worth.
"""

from __future__ import annotations

import select
import socket
import sys
from selectors import EVENT_READ, EVENT_WRITE
from typing import Final

from penstock_wire.polled import EVENT_LOSS, Polled

assert sys.platform == "linux"

__all__ = ["Epoll"]

_READ: Final = select.EPOLLIN
_WRITE: Final = select.EPOLLOUT
_BOTH: Final = _READ | _WRITE


class Epoll:
    """The sockets that are watched, and for which events."""

    __slots__ = ("_epoll", "_watched", "fileno")

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[Polled, int]] = {}
        self.fileno = self._epoll.fileno()
        """A file that can be read when something is ready."""

    def watch(self, sock: socket.socket, polled: Polled, events: int, before: int) -> None:
        """Tell of these events from now on, where before it was of those `before`; 0: of none."""
        number = sock.fileno()
        if not events:
            self._epoll.unregister(number)
            del self._watched[number]
            return
        mask = (_READ if events & EVENT_READ else 0) | (_WRITE if events & EVENT_WRITE else 0)
        if before:
            self._epoll.modify(number, mask)
        else:
            self._epoll.register(number, mask)
        self._watched[number] = polled, events

    def ready(self) -> list[tuple[Polled, int]]:
        """What can be done by now, and whose socket it is. Waits for nothing."""
        found = []
        for number, told in self._epoll.poll(0):
            polled, events = self._watched[number]
            if told == _READ:
                events &= EVENT_READ
            elif told & ~_BOTH:  # that the connection broke is for whoever reads, and for whoever writes
                events &= EVENT_READ | EVENT_WRITE | EVENT_LOSS
            else:
                events &= (EVENT_READ if told & _READ else 0) | (EVENT_WRITE if told & _WRITE else 0)
            if events:
                found.append((polled, events))
        return found

    def close(self) -> None:
        """Nothing is watched any more."""
        self._epoll.close()
        self._watched.clear()
