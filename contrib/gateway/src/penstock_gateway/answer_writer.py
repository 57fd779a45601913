"""The bytes of an answer to a client. Pure.

An answer of a known length has that; another one comes in chunks, or, to a client of HTTP/1.0, ends with its
connection. One that breaks off is never ended as if it were whole: the connection is closed in the middle, which every
client can tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

__all__ = ["CONTINUE", "AnswerWriter", "whole_answer"]

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_PHRASES: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
_WITHOUT_BODY: Final = (204, 304)


def _head(status: int, headers: Iterable[tuple[bytes, bytes]], own: bytes, last: bytes) -> bytes:
    lines = b"".join([b"%s: %s\r\n" % header for header in headers])
    return b"HTTP/1.1 %d %s\r\n%s%s%s\r\n" % (status, _PHRASES.get(status, b""), lines, own, last)


def whole_answer(
    status: int,
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
    *,
    own: bytes = b"",
    close: bool,
    head_only: bool = False,
) -> bytes:
    """An answer that is there as a whole. `own`: more headers, as they are written; `close`: the connection ends with
    it; `head_only`: it answers `HEAD`.
    """
    last = b"content-length: %d\r\n" % len(body) + (b"connection: close\r\n" if close else b"")
    return _head(status, headers, own, last) + (b"" if head_only else body)


class AnswerWriter:
    """An answer that is passed on as it comes. `length` is that of its body, where it is known; `chunks`: the client
    knows HTTP/1.1; `keep_alive`: it may use the connection again.
    """

    def __init__(self, *, length: int | None, chunks: bool, keep_alive: bool) -> None:
        self._length = length
        self._chunked = length is None and chunks
        self.keep_alive = keep_alive and (length is not None or chunks)
        """Whether the connection is of use behind the answer."""

    def head(self, status: int, headers: Iterable[tuple[bytes, bytes]], own: bytes = b"") -> bytes:
        """The head; `own`: more headers, as they are written."""
        if status in _WITHOUT_BODY:
            self._length, self._chunked, last = 0, False, b""
        elif self._length is not None:
            last = b"content-length: %d\r\n" % self._length
        else:
            last = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        return _head(status, headers, own, last if self.keep_alive else last + b"connection: close\r\n")

    def piece(self, data: bytes) -> bytes:
        """A piece of the body."""
        return b"%x\r\n%s\r\n" % (len(data), data) if self._chunked and data else data

    def end(self) -> bytes:
        """What ends an answer that is whole."""
        return b"0\r\n\r\n" if self._chunked else b""
