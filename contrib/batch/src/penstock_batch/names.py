"""What was probably meant: the end of every message about a name that nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["meant"]


def meant(given: str, known: Iterable[str], *, most: int = 12) -> str:
    """The likeliest of `known`, or what there is.

    >>> meant("docs", ["doc", "name"]), meant("x", ["doc", "name"]), meant("x", [])
    ("did you mean 'doc'?", 'there are doc, name', 'there are none')
    """
    names = list(known)
    near = difflib.get_close_matches(given, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    shown = ", ".join(names[:most])
    rest = f", and {len(names) - most} more" if len(names) > most else ""
    return f"there are {shown}{rest}" if names else "there are none"
