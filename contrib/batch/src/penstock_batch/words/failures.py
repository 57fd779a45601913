"""What foreign code raised, in words: of whatever type, and whatever it does when it is looked at."""

from __future__ import annotations

import os
import ssl
from typing import Final

__all__ = ["bounded", "plain_reason", "said_of"]

_LONGEST: Final = 500


def bounded(text: str) -> str:
    """A foreign text in one line of at most 500 characters.

    >>> bounded(" no\\n title ")
    'no title'
    """
    said = " ".join(text[: 8 * _LONGEST].split())
    return said if len(said) <= _LONGEST and len(text) <= 8 * _LONGEST else f"{said[: _LONGEST - 1]}…"


def said_of(error: BaseException) -> str:
    """`ValueError: not this one`: the type and the text of an error. Of a group, those of what it holds.

    >>> said_of(ExceptionGroup("several", [ValueError("a"), KeyError("b")]))
    "ExceptionGroup: ValueError: a; KeyError: 'b'"
    """
    try:
        name = type(error).__name__
        inner = error.exceptions[:3] if isinstance(error, BaseExceptionGroup) else ()
        said = "; ".join(map(said_of, inner)) or str(error)
    except BaseException:  # its own __str__ may do anything, and is no reason to end more than its row
        return f"{type(error).__name__}, whose text cannot be had"
    said = said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"
    return f"{name}: {said}" if said else name


def plain_reason(error: Exception) -> str:
    """The system's reason without the wrapping: httpx2 says "All connection attempts failed" where there is a better
    one.
    """
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    if isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    if isinstance(cause, ssl.SSLError):  # its number is one of OpenSSL's, and none of the system's
        said = getattr(cause, "verify_message", "") or cause.reason or str(cause)
        return f"TLS: {said}"
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:  # name look-ups have negative ones
        return os.strerror(cause.errno)
    return str(cause) or str(error) or type(error).__name__
