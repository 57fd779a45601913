"""What a failure says that never reached a provider: a shortage on our side, or a connection that surely cost nothing.

An exception is looked at with what it was made of, since clients wrap what the system said (`raise … from`, also `from
None`). What merely was handled when it was raised is no part of it: that may have been another call. A group is what
all its members are; of several ways to one host those count that this machine has.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Final

__all__ = ["own_shortage", "surely_unpaid"]

_SHORTAGES: Final = {
    errno.EMFILE: "too many open files in this process",
    errno.ENFILE: "too many open files on this machine",
    errno.EADDRNOTAVAIL: "no local ports are left",
    errno.ENOBUFS: "no memory is left for sockets",
    errno.ENOMEM: "no memory is left",
}
_NO_SUCH_HOST: Final = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
"""The name means nothing, or has no address; the second is not there on every system."""
_NO_LOOKUP: Final = {
    socket.EAI_AGAIN: "names cannot be looked up just now",
    socket.EAI_MEMORY: "no memory is left",
}
_NO_THREAD: Final = "can't start new thread"
"""What Python says, without an error number, where the system lets it have no more of them."""
_POOLS: Final = frozenset({"PoolTimeout", "EmptyPoolError"})
"""What clients raise whose pool of connections is used up, by name: httpx, httpcore and their like, urllib3."""

_NO_WAY: Final = frozenset(
    {
        *(errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN),
        *(errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT),
    }
)
"""What is no more than one of several ways that leads nowhere, as an address of IPv6 where this machine has none."""
_DEEPEST: Final = 20


def own_shortage(error: BaseException) -> str:
    """What this machine is short of, in words; empty where the failure is none of its own.

    >>> own_shortage(OSError(errno.EMFILE, "Too many open files"))
    'too many open files in this process'
    >>> own_shortage(ConnectionRefusedError())
    ''
    """
    return _said(error, _shortage)


def surely_unpaid(error: BaseException) -> bool:
    """Whether no provider can have charged for the call: nobody took the connection, or there is no such host."""
    return bool(_said(error, _unpaid))


def _shortage(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return _NO_LOOKUP.get(error.errno or 0, "")
    if isinstance(error, MemoryError):
        return "no memory is left"
    if isinstance(error, RuntimeError) and error.args[:1] == (_NO_THREAD,):
        return "no more threads can be started"
    if type(error).__name__ in _POOLS:
        return "no connection of the client's pool is free"
    return _SHORTAGES.get(error.errno or 0, "") if isinstance(error, OSError) else ""


def _unpaid(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return "no such host" if error.errno in _NO_SUCH_HOST else ""
    return "refused" if isinstance(error, ConnectionRefusedError) else ""


def _said(error: BaseException, says: Callable[[BaseException], str], depth: int = _DEEPEST) -> str:
    """What an error says, or what it was made of; empty where it says nothing."""
    current: BaseException | None = error
    while current is not None and depth > 0:
        if isinstance(current, BaseExceptionGroup):
            return _of_all(current, says, depth - 1)
        if said := says(current):
            return said
        current = current.__cause__ or (current.__context__ if current.__suppress_context__ else None)
        depth -= 1
    return ""


def _of_all(group: BaseExceptionGroup[BaseException], says: Callable[[BaseException], str], depth: int) -> str:
    members = [member for member in group.exceptions if not _is_no_way(member)] or group.exceptions
    found = [_said(member, says, depth) for member in members]
    return found[0] if all(found) else ""


def _is_no_way(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _NO_WAY
