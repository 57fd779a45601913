"""How the files that a process may have open are shared between clients and calls. Pure, but for the limit itself.

A client's connection is one file, and its call another one at the provider. If clients took the last file there is, no
call could be made any more, not even for those that are connected. So they have what calls do not need, and calls need
no more than their caps: a provider's connections, idle ones too, are as many as calls were ever out there at once.
Where caps are beyond all files, clients have two fifths, calls as much, and idle connections the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from penstock import ProviderConfig

__all__ = ["OTHERS", "files_for_calls", "most_clients", "most_files", "most_idle", "raise_most_files"]

OTHERS: Final = 64
"""Files that are open beside connections: log, ledger, listening sockets, `/metrics`, libraries."""
_ENOUGH: Final = 1_048_576
"""As many as are asked for where the system has no bound."""
_MOST_IDLE: Final = 1000


def most_clients(wanted: int, files: int | None, for_calls: int) -> int:
    """How many clients may be connected, of those `wanted`: at least one.

    >>> most_clients(4096, 1024, 64), most_clients(4096, 1024, 100_000), most_clients(4096, None, 100_000)
    (896, 384, 4096)
    """
    if files is None:
        return wanted
    left = files - OTHERS
    return max(1, min(wanted, max(left - for_calls, left * 2 // 5)))


def most_idle(providers: int, files: int | None) -> int:
    """How many connections that no call uses may be kept for each of so many providers.

    >>> most_idle(2, 1024), most_idle(2, None)
    (96, 1000)
    """
    return _MOST_IDLE if files is None else max(1, min(_MOST_IDLE, (files - OTHERS) // 5 // max(1, providers)))


def files_for_calls(providers: Iterable[ProviderConfig]) -> int:
    """How many files calls need where all caps are reached: an embedded mock has the other ends of its connections."""
    return sum(
        model.max_parallel_requests * (2 if provider.kind == "mock" else 1)
        for provider in providers
        for model in provider.models.values()
    )


def most_files() -> int | None:
    """How many files this process may have open; `None` where that is not limited, or not known."""
    if sys.platform == "win32":
        return None
    import resource  # there is none on Windows

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def raise_most_files() -> None:
    """Let this process have as many files open as its user may ask for."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # some systems have a further bound, and say so only then
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
