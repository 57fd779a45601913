"""A body in Amazon's binary event stream (application/vnd.amazon.eventstream), as the JSON values that it carries.

    total length, headers length, CRC-32 of these two, headers, payload, CRC-32 of all before      (big endian)

Source: "Amazon Event Stream Specification" of Smithy 2.0. What breaks it ends the reading: behind a length that is not
true nothing can be found again. An event comes out as `{its type: its payload}`, the chunk of an InvokeModel as what
stands in it, and an exception or error as `{"error": {…}}`, with the status that it would have had.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from struct import Struct, unpack_from
from types import MappingProxyType
from typing import Any, Final
from zlib import crc32

from penstock_dialects.invalid import Invalid
from penstock_dialects.unpacking import Memory

__all__ = ["EventStream"]

Read = Callable[[bytes], Any]

_PRELUDE: Final = Struct(">III")
_CRC: Final = Struct(">I")
_LEAST: Final = _PRELUDE.size + _CRC.size
MOST_HEADERS: Final = 128 * 1024
MOST: Final = 24 * 1024 * 1024
"""Bytes of one message at most; both bounds are those of the specification."""

_SIZES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""The type of a header's value to its size; 6 and 7 (bytes, text) state theirs."""
_TEXT: Final = 7

_STATUS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "throttlingexception": 429,
        "modelnotreadyexception": 429,
        "servicequotaexceededexception": 400,
        "validationexception": 400,
        "accessdeniedexception": 403,
        "resourcenotfoundexception": 404,
        "modeltimeoutexception": 408,
        "modelstreamerrorexception": 424,
        "modelerrorexception": 424,
        "internalserverexception": 500,
        "serviceunavailableexception": 503,
    }
)


class EventStream:
    """The values of one body, as they come. A value is what `json` makes of a payload, or `Invalid`. One of more
    parts than `memory` has room for is `Invalid`.
    """

    kind: Final = "messages"
    last_word: Final = False

    def __init__(self, memory: Memory) -> None:
        self._many = memory.many
        self.skimmed = False
        """Whether a payload had more parts than there is room for, and was not read."""
        self._rest = bytearray()
        self._broken = False

    @property
    def held(self) -> int:
        """Bytes of a message whose end has not come."""
        return len(self._rest)

    def feed(self, piece: bytes) -> Iterator[Any]:
        """The values that are complete with this piece."""
        if self._broken:
            return
        self._rest += piece
        at = 0
        while (size := self._next_size(at)) > 0:
            values = _values(bytes(memoryview(self._rest)[at : at + size]), self._json)
            if values is None:
                size = -1
                break
            at += size
            yield from values
        del self._rest[:at]
        if size < 0:
            self._broken = True
            self._rest.clear()
            yield Invalid()

    def end(self) -> Iterator[Any]:
        """The values that the end of the body completes: none, and what has begun is broken off."""
        if self._rest:
            self._rest.clear()
            yield Invalid()

    def _json(self, text: bytes) -> Any:
        if self._many(text):
            self.skimmed = True
            return Invalid()
        try:
            return json.loads(text) if text.strip() else {}
        except (ValueError, RecursionError):
            return Invalid()

    def _next_size(self, at: int) -> int:
        """The bytes of the next message; 0: it is not whole, below 0: it is none."""
        there = len(self._rest) - at
        if there < _PRELUDE.size:
            return 0
        total, headers, crc = _PRELUDE.unpack_from(self._rest, at)
        if not (_LEAST <= total <= MOST) or headers > min(MOST_HEADERS, total - _LEAST):
            return -1
        if crc32(bytes(self._rest[at : at + 8])) != crc:
            return -1
        return total if there >= total else 0


def _values(message: bytes, read: Read) -> list[Any] | None:
    """The value that a message carries, if it is of a kind that carries one; `None` for one that is not whole."""
    if crc32(message[: -_CRC.size]) != _CRC.unpack_from(message, len(message) - _CRC.size)[0]:
        return None
    _, size, _ = _PRELUDE.unpack_from(message)
    try:
        headers = _headers(message[_PRELUDE.size : _PRELUDE.size + size])
    except (IndexError, ValueError):
        return None
    payload = message[_PRELUDE.size + size : -_CRC.size]
    kind = headers.get(":message-type", "event")
    if kind == "event":
        return [_event(headers.get(":event-type", ""), payload, read)]
    return [_error(headers, payload, read)] if kind in ("exception", "error") else []


def _headers(data: bytes) -> dict[str, str]:
    """The headers whose values are text."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        name, kind, at = data[at + 1 : end].decode(), data[end], end + 1
        if kind in _SIZES:
            at += _SIZES[kind]
        elif kind in (_TEXT, 6) and at + 2 <= len(data):
            size = unpack_from(">H", data, at)[0]
            if kind == _TEXT:
                found[name] = data[at + 2 : at + 2 + size].decode()
            at += 2 + size
        else:
            raise ValueError(f"a header of type {kind} at {at}")
        if at > len(data):
            raise ValueError("a header that is longer than the headers")
    return found


def _event(kind: str, payload: bytes, read: Read) -> Any:
    value = read(payload)
    packed = value.get("bytes") if kind == "chunk" and isinstance(value, dict) else None
    if isinstance(packed, str):
        try:
            return read(b64decode(packed, validate=True))
        except ValueError:
            return Invalid()
    return {kind: value} if isinstance(value, dict) else value


def _error(headers: Mapping[str, str], payload: bytes, read: Read) -> dict[str, Any]:
    name = headers.get(":exception-type") or headers.get(":error-code") or "error"
    said = read(payload)
    said = said if isinstance(said, dict) else {}
    message = said.get("message") or said.get("Message") or headers.get(":error-message") or ""
    word = name.lower()
    status = _STATUS.get(word) or _STATUS.get(word.removesuffix("error") + "exception") or 500
    stated = said.get("originalStatusCode")
    return {"error": {"code": word, "message": message, "status": status, "stated": stated}}
