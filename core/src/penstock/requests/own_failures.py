"""What a failure says that never reached a provider: a shortage on our side, or a connection that surely cost nothing.

An exception is looked at with what it was made of, since clients wrap what the system said (`raise … from`, also `from
None`). What merely was handled when it was raised is no part of it: that may have been another call. A group is what
all its members are.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["own_shortage", "surely_unpaid"]

_SHORTAGES: Final = {
    errno.EMFILE: "too many open files in this process",
    errno.ENFILE: "too many open files on this machine",
    errno.EADDRNOTAVAIL: "no local ports are left",
    errno.ENOBUFS: "no memory is left for sockets",
    errno.ENOMEM: "no memory is left",
}
_DEEPEST: Final = 20


def own_shortage(error: BaseException) -> str:
    """What this machine is short of, in words; empty where the failure is none of its own.

    >>> own_shortage(OSError(errno.EMFILE, "Too many open files"))
    'too many open files in this process'
    >>> own_shortage(ConnectionRefusedError())
    ''
    """
    return _all_leaves(error, _shortage)


def surely_unpaid(error: BaseException) -> bool:
    """Whether no provider can have charged for the call: nobody took the connection, or there is no such host."""
    return bool(_all_leaves(error, _unpaid))


def _shortage(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return "names cannot be looked up just now" if error.errno == socket.EAI_AGAIN else ""
    if isinstance(error, MemoryError):
        return "no memory is left"
    return _SHORTAGES.get(error.errno or 0, "") if isinstance(error, OSError) else ""


def _unpaid(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return "no such host" if error.errno == socket.EAI_NONAME else ""
    return "refused" if isinstance(error, ConnectionRefusedError) else ""


def _all_leaves(error: BaseException, says: Callable[[BaseException], str]) -> str:
    found = [next((said for each in _chain(leaf) if (said := says(each))), "") for leaf in _leaves(error)]
    return found[0] if found and all(found) else ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was made of; of a group of causes what all of them are is not looked for."""
    current: BaseException | None = error
    for _ in range(_DEEPEST):
        if current is None:
            return
        if isinstance(current, BaseExceptionGroup) and current.exceptions:
            current = current.exceptions[0]
        yield current
        current = current.__cause__ or (current.__context__ if current.__suppress_context__ else None)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _leaves(member)
    else:
        yield error
