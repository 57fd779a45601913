"""JSON, one value per line, in the one way that every file and every call of a batch writes it.

Reading and writing are most of what a row costs that is kept, so `msgspec` does both where its result is the same:
it refuses some of what Python's own module takes (half surrogate pairs), and writes some numbers otherwise (`1e16`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import msgspec

__all__ = ["DEEPEST", "copied", "json_bytes", "json_line", "json_value", "kept", "names_once", "quickly_read"]

_PLAIN: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_ESCAPED: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_QUICK: Final = msgspec.json.Encoder().encode
quickly_read: Final = msgspec.json.Decoder().decode
"""The value of a JSON text; raises `ValueError` for some that Python's own module reads, and `RecursionError`."""
_ALIKE: Final = frozenset((str, int, bool, type(None)))
"""The types that `msgspec` writes as Python does."""
_TEXT: Final = frozenset((str,))
_MADE_OF_OTHERS: Final = frozenset((list, dict))
DEEPEST: Final = 100
"""Levels of arrays and objects within each other. Readers of JSON have bounds of their own, far above."""


def json_bytes(value: Any) -> bytes:
    """`value` as compact UTF-8 JSON. Raises `TypeError` or `ValueError` for what JSON cannot say (sets, NaN, circles).

    Half a surrogate pair, which JSON can hold and UTF-8 cannot, is written as an escape.
    """
    if type(value) is dict and _ALIKE.issuperset(map(type, value.values())) and _TEXT.issuperset(map(type, value)):
        try:
            return _QUICK(value)
        except (UnicodeEncodeError, ValueError):
            pass  # half a surrogate pair, or a number of too many digits
    try:
        return _PLAIN(value).encode()
    except UnicodeEncodeError:
        return _ESCAPED(value).encode()


def json_line(value: Any) -> bytes:
    """`json_bytes` and a line feed."""
    return json_bytes(value) + b"\n"


def json_value(text: bytes, slow: Callable[[bytes], Any] = json.loads) -> Any:
    """The value that stands there in JSON; where `msgspec` cannot read it, what `slow` makes of it or raises."""
    try:
        return quickly_read(text)
    except (ValueError, RecursionError):
        return slow(text)


def copied(value: Any) -> Any:
    """A copy of a JSON value: who is given it may change it, and changes nobody else's."""
    if type(value) is list:
        return [copied(each) if type(each) in _MADE_OF_OTHERS else each for each in value]
    if type(value) is dict:
        return {name: copied(each) if type(each) in _MADE_OF_OTHERS else each for name, each in value.items()}
    return value


def kept(value: Any) -> Any:
    """`value` as JSON keeps it: tuples are arrays, all names are strings, and nothing is shared with who made it.

    Raises `ValueError`, in one line, for what JSON cannot hold or is nested more than 100 deep. What a
    foreign object does while it is looked at is such a reason too.
    """
    try:
        encoded = json_bytes(value)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} deep") from None
    if type(value) is str:
        return value
    if _depth(encoded) > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} deep")
    return json.loads(encoded, object_pairs_hook=names_once) if b"{" in encoded else json.loads(encoded)


def names_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of these members, for `json.loads`. Raises `ValueError` if two have one name."""
    made = dict(pairs)
    if len(made) != len(pairs):  # 1 and "1", say: the text would have both, and a reader only the last
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(name for name in made if names.count(name) > 1)!r} twice in one object")
    return made


def _depth(encoded: bytes) -> int:
    depth = deepest = 0
    in_string = escaped = False
    if encoded.count(b"[") + encoded.count(b"{") <= DEEPEST:
        return 0
    for byte in encoded:
        if in_string:
            in_string = escaped or byte != 0x22
            escaped = byte == 0x5C and not escaped
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest
