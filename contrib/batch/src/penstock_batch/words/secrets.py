"""The keys of a run, and the one door at which they are blotted out of whatever leaves it.

Providers echo keys, in errors and in answers, and so do libraries that tell of a header they could not send. So nothing
is searched for where it comes from: what goes to the store, to the output or to a terminal passes here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["BLOT", "Secrets", "key_problem"]

BLOT: Final = "***"
_SHORTEST: Final = 6
"""Characters: what is shorter ("none", "EMPTY") is no secret, and blotted out it would spoil ordinary words."""


_CUT: Final = "…"
"""What stands where a text is cut."""


def key_problem(key: str) -> str | None:
    """What is wrong with a key that no header can carry, without a part of it; `None` if nothing is.

    >>> key_problem("sk-1234567"), key_problem("sk-1234567\\n")
    (None, 'has a line break at its end')
    """
    for index, character in enumerate(key):
        if "!" <= character <= "~":
            continue
        what = {"\n": "a line break", "\r": "a line break", " ": "a space", "\t": "a tab"}.get(
            character, "a character that no key has"
        )
        where = "at its beginning" if not key[:index].strip() else "" if key[index:].strip() else "at its end"
        return f"has {what} {where}" if where else f"has {what} in it"
    return None


def _forms(key: str) -> set[str]:
    """The key, and as JSON and Python write it within quotes."""
    return {key, json.dumps(key)[1:-1], repr(key)[1:-1], repr(f"\"'{key}")[4:-1]}


class Secrets:
    """What must not leave the run. `keys` are those of its providers."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        found = {form for key in keys for form in _forms(key.strip())}
        # The longest first: a key that begins like another leaves no rest of itself.
        self._keys = sorted((key for key in found if len(key) >= _SHORTEST), key=len, reverse=True)

    def text(self, text: str) -> str:
        """`text` without keys."""
        for key in self._keys:
            if key in text:
                text = text.replace(key, BLOT)
            elif _CUT in text and key[:_SHORTEST] in text:  # a text was cut within a key
                for length in range(len(key) - 1, _SHORTEST - 1, -1):
                    text = text.replace(f"{key[:length]}{_CUT}", f"{BLOT}{_CUT}")
        return text

    def value(self, value: Any) -> Any:
        """A JSON value without keys in any of its strings, the names of members too. It may be nested as deep as JSON
        may be here; see `lines.kept`.
        """
        if not self._keys:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):
            if all(type(each) in (int, float) for each in value):  # a vector
                return value
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {self.text(name): self.value(each) for name, each in value.items()}
        return value
