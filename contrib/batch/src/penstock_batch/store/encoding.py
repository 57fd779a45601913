"""An answer as bytes and back: JSON without what is at its default, a vector as 32-bit floats, and a checksum. Pure."""

from __future__ import annotations

import json
from array import array
from functools import lru_cache
from math import isfinite
from typing import Any, Final
from zlib import crc32

import msgspec

from penstock import Usage
from penstock_batch.rows.lines import json_bytes
from penstock_batch.store.answer import Answer

__all__ = ["checksum", "decoded", "encoded", "rounded", "sound"]

_DEFAULTS: Final = {field.name: field.default for field in msgspec.structs.fields(Answer)}
_USAGE: Final = Usage.__struct_fields__
_APART: Final = ("value", "usage", "row", "step")
_READ: Final = msgspec.json.Decoder(Answer).decode
_PUT: Final = msgspec.structs.force_setattr
_UNTOLD: Final = _DEFAULTS["usage"]


def rounded(vector: list[float]) -> list[float]:
    """A vector as it is kept: in 32-bit floats. Raises `OverflowError` for a number that is too large for them."""
    made = array("f", vector).tolist()
    if not all(map(isfinite, made)):
        raise OverflowError("a number that is too large for 32 bits")
    return made


def encoded(answer: Answer, *, vector: bool = False) -> tuple[bytes, bytes | None]:
    """The answer's JSON, and its value apart as 32-bit floats where that is a `vector`. Raises `TypeError` or
    `ValueError` for what JSON cannot hold.
    """
    record: dict[str, Any] = {
        name: value for name in _DEFAULTS if name not in _APART and (value := getattr(answer, name)) != _DEFAULTS[name]
    }
    if answer.usage != _UNTOLD:
        record["usage"] = {name: told for name in _USAGE if (told := getattr(answer.usage, name)) is not None}
    if vector:
        return json_bytes(record), array("f", answer.value).tobytes()
    if type(answer.value) is not str or answer.value != answer.text:
        record["value"] = answer.value
    return json_bytes(record), None


def decoded(body: bytes, vector: bytes | None, row: int = 0, step: str = "") -> Answer:
    """The `encoded` answer of a row and a step. Raises `ValueError` or `TypeError` for what is none."""
    try:
        answer = _READ(body)
    except ValueError:  # it may hold half a surrogate pair, which `msgspec` does not read
        answer = msgspec.convert(json.loads(body), Answer)
    # Nobody has seen it yet, so it is still being made.
    if vector is not None:
        floats = array("f")
        floats.frombytes(vector)
        _PUT(answer, "value", floats.tolist())
    elif answer.value is msgspec.UNSET:
        _PUT(answer, "value", answer.text)
    told: Any = answer.usage
    if told is not _UNTOLD:
        _PUT(answer, "usage", _usage(**told))
    _PUT(answer, "row", row)
    _PUT(answer, "step", step)
    return answer


@lru_cache(1 << 12)
def _usage(**counts: int) -> Usage:
    """These counts, checked; many answers have the same ones."""
    return Usage(**counts)


def checksum(key: bytes, body: bytes, vector: bytes | None) -> int:
    """The checksum of what is kept of an answer."""
    return crc32(vector or b"", crc32(body, crc32(key)))


def sound(key: bytes, body: bytes, vector: bytes | None, crc: int, row: int, step: str) -> Answer | None:
    """The answer that is kept so, if it is as it was; `None` if it is damaged."""
    try:
        if (crc32(body, crc32(key)) if vector is None else checksum(key, body, vector)) != crc:
            return None
        return decoded(body, vector, row, step)
    except (ValueError, TypeError, RecursionError):
        return None
