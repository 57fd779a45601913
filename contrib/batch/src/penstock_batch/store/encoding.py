"""An answer as bytes and back: JSON without what is at its default, a vector as 32-bit floats, and a checksum. Pure."""

from __future__ import annotations

import json
import zlib
from array import array
from math import isfinite
from typing import Any, Final

import attrs

from penstock import Usage
from penstock_batch.rows.lines import json_bytes
from penstock_batch.store.answer import Answer

__all__ = ["checksum", "decoded", "encoded", "rounded", "sound"]

_DEFAULTS: Final = {field.name: field.default for field in attrs.fields(Answer)}
_USAGE: Final = tuple(field.name for field in attrs.fields(Usage))
_APART: Final = ("value", "usage", "row", "step")
_LISTS: Final = ("parts", "tool_calls", "logprobs")
_UNTOLD: Final = Usage()


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
    """The `encoded` answer of a row and a step. Raises `ValueError`, `TypeError`, `KeyError` for what is none."""
    record = json.loads(body)
    if vector is not None:
        floats = array("f")
        floats.frombytes(vector)
        record["value"] = floats.tolist()
    elif "value" not in record:
        record["value"] = record["text"]
    if "usage" in record:
        record["usage"] = Usage(**record["usage"])
    for name in _LISTS:
        if name in record:
            record[name] = tuple(record[name])
    return Answer(**record, row=row, step=step)


def checksum(key: bytes, body: bytes, vector: bytes | None) -> int:
    """The checksum of what is kept of an answer."""
    return zlib.crc32(vector or b"", zlib.crc32(body, zlib.crc32(key)))


def sound(key: bytes, body: bytes, vector: bytes | None, crc: int, row: int, step: str) -> Answer | None:
    """The answer that is kept so, if it is as it was; `None` if it is damaged."""
    try:
        return decoded(body, vector, row, step) if checksum(key, body, vector) == crc else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
