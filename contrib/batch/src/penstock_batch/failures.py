"""What foreign code raised, in words: of whatever type, and whatever it does when it is looked at."""

from __future__ import annotations

from typing import Final

__all__ = ["said_of"]

_LONGEST: Final = 500


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
