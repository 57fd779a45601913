"""Foreign text, made safe before it is shown.

Names of groups and models, and the details of refusals and errors, come from users, plugins and providers. What
prints them raw hands the terminal over: an escape sequence rewrites what stands there already, an override of the
writing direction shows one name as another, a line break forges a line, and half a surrogate pair ends the program
that prints it. So each is shown as the escape by which Python writes it, at the place where text becomes a line.
"""

from __future__ import annotations

from typing import Final
from unicodedata import category

__all__ = ["printable"]

_JOINERS: Final = "\u200c\u200d"
"""Letters of some scripts, and signs put together of several, need them; they show nothing of their own."""


def printable(text: str) -> str:
    r"""A line that a terminal shows as it stands, with an escape for each control character, line break, override
    of the writing direction, invisible character and lone surrogate.

    >>> print(printable("a\x1b[31mb"), printable("one\ntwo"), printable("\u202egpj.exe"), printable("héllo 東京"))
    a\x1b[31mb one\ntwo \u202egpj.exe héllo 東京
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable() or character in _JOINERS or category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode("ascii")
