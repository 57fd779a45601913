"""The problems of a configuration as records: what is wrong, where, and in which file.

A problem is passed on as a record, and becomes a line of text only where people read it. So no
program has to parse a message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

import attrs

from penstock.words.printable import printable

__all__ = ["PathParts", "Problem", "dotted"]

PathParts = tuple[str | int, ...]
"""The keys and places that lead to a value of a TOML file."""

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


@attrs.frozen
class Problem:
    """A problem of a configuration. `path` leads to it, `what` says what is wrong and what would be right, `source`
    is the file.

    >>> str(Problem(("steps", 2, "kind"), "is missing", "run.toml"))
    'run.toml: steps[2].kind: is missing'
    """

    path: PathParts
    what: str
    source: str = ""

    def below(self, *path: str | int) -> Problem:
        """The same problem, seen from further up: `path` leads to where this one's path begins."""
        return attrs.evolve(self, path=(*path, *self.path))

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.source, dotted(self.path), self.what)))


def dotted(path: Iterable[str | int]) -> str:
    """The dotted path of a value in a TOML file.

    >>> dotted(("providers", "my.host", "models")), dotted(("steps", 2, "kind"))
    ('providers."my.host".models', 'steps[2].kind')

    What a terminal would not show as it stands is escaped: see `printable`.
    """
    words = ""
    for part in path:
        if isinstance(part, int):
            words += f"[{part}]"
            continue
        key = part if _BARE_KEY.fullmatch(part) else printable(json.dumps(part, ensure_ascii=False))
        words += f".{key}" if words else key
    return words
