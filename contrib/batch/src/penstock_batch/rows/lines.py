"""JSON, one value per line, in the one way that every file and every call of a batch writes it."""

from __future__ import annotations

import json
from typing import Any, Final

__all__ = ["DEEPEST", "json_bytes", "json_line", "kept"]

_PLAIN: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_ESCAPED: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
DEEPEST: Final = 100
"""Levels of arrays and objects within each other. Readers of JSON have bounds of their own, far above."""


def json_bytes(value: Any) -> bytes:
    """`value` as compact UTF-8 JSON. Raises `TypeError` or `ValueError` for what JSON cannot say (sets, NaN, circles).

    Half a surrogate pair, which JSON can hold and UTF-8 cannot, is written as an escape.
    """
    try:
        return _PLAIN(value).encode()
    except UnicodeEncodeError:
        return _ESCAPED(value).encode()


def json_line(value: Any) -> bytes:
    """`json_bytes` and a line feed."""
    return json_bytes(value) + b"\n"


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
    return json.loads(encoded, object_pairs_hook=_with_names_once) if b"{" in encoded else json.loads(encoded)


def _with_names_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
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
