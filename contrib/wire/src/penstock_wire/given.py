"""What a caller hands a client, looked at as it comes: a wrong time-out would else fail the first call, when that is
over, and paid for.
"""

from __future__ import annotations

import math
import ssl
from typing import TypeGuard

import trio

__all__ = ["check_client", "check_texts", "require_trio"]


def require_trio(what: str) -> None:
    """Raises `RuntimeError` outside of a trio run."""
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError(
            f"{what} runs under trio, and this code does not: start the program with `trio.run(main)`, or, under "
            "asyncio, use a client that is for it, as httpx2 with its own transport"
        )


def check_texts(**given: object) -> None:
    """Raises `ValueError` with the name of what is no text."""
    for name, value in given.items():
        if not isinstance(value, str):
            raise ValueError(f"{name} must be text, not {type(value).__name__}")


def check_client(tls: object, keep_alive: object, most_idle: object, connect_timeout: object) -> None:
    """Raises `ValueError` with the name of what is wrong: seconds from 0 on (above 0 to connect), which may be
    infinite; a whole number of connections from 0 on; a context of `ssl`, or `None`.
    """
    if tls is not None and not isinstance(tls, ssl.SSLContext):
        raise ValueError(f"tls must be an ssl.SSLContext, or None, not {type(tls).__name__}")
    if not _is_number(keep_alive) or keep_alive < 0:
        raise ValueError(f"keep_alive must be seconds, 0 or more, not {_shown(keep_alive)}")
    if not _is_number(connect_timeout) or connect_timeout <= 0:
        raise ValueError(f"connect_timeout must be seconds above 0, not {_shown(connect_timeout)}")
    if isinstance(most_idle, bool) or not isinstance(most_idle, int) or most_idle < 0:
        raise ValueError(f"most_idle must be a number of connections, 0 or more, not {_shown(most_idle)}")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _shown(value: object) -> str:
    return f"{value:g}" if _is_number(value) else type(value).__name__
