"""The keys of a run, and the one door at which they are blotted out of whatever leaves it.

Providers echo keys, in errors and in answers, and so do libraries that tell of a header they could not send. So nothing
is searched for where it comes from: what goes to the store, to the output or to a terminal passes here.
"""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote, quote_plus

__all__ = ["BLOT", "Secrets", "key_problem"]

BLOT: Final = "***"
_SHORTEST: Final = 6
"""Characters: what is shorter ("none", "EMPTY") is no secret, and blotted out it would spoil ordinary words."""


_ESCAPED: Final = re.compile("%[0-9A-F]{2}")
_ANY: Final = "surrogatepass"
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
    """The key, and as others write it: JSON and Python within quotes, URLs, HTML, and base64, in which it may begin at
    any of three places.
    """
    quoted = {json.dumps(key)[1:-1], repr(key)[1:-1], repr(f"\"'{key}")[4:-1]}
    quoted |= {each.replace("/", r"\/") for each in (key, *quoted)}
    in_urls = {quote(key, safe, errors=_ANY) for safe in ("/", "")} | {quote_plus(key, errors=_ANY)}
    in_urls |= {_ESCAPED.sub(lambda found: found[0].lower(), each) for each in in_urls}
    return {key, *quoted, *in_urls, html.escape(key), html.escape(key, quote=False), *_in_base64(key)}


def _in_base64(key: str) -> Iterator[str]:
    """What base64 makes of any text that holds the key, without what depends on the text around it."""
    for before in range(3):
        held = bytes(before) + key.encode(errors=_ANY)
        first, end = -(-before * 8 // 6), len(held) * 8 // 6
        for alphabet in (None, b"-_"):
            yield b64encode(held, alphabet).decode()[first:end]


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
