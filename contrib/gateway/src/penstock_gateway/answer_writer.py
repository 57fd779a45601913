"""The bytes of an answer to a client. Pure.

An answer of a known length has that; another one comes in chunks, or, to a client of HTTP/1.0, ends with its
connection. One that breaks off is never ended as if it were whole: the connection is closed in the middle, which every
client can tell.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

__all__ = ["CONTINUE", "AnswerWriter", "whole_answer"]

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_PHRASES: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
_WITHOUT_BODY: Final = (204, 304)


def _head(status: int, headers: list[tuple[bytes, bytes]], own: bytes, last: bytes) -> bytes:
    lines = b"".join([name + b": " + value + b"\r\n" for name, value in headers])
    return b"HTTP/1.1 %d %s\r\n%s%s%s\r\n" % (status, _PHRASES.get(status, b""), lines, own, last)


def whole_answer(
    status: int,
    headers: list[tuple[bytes, bytes]],
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
    """An answer that is passed on as it comes. `own`: more headers, as they are written; `length` is that of its body,
    where it is known; `chunks`: the client knows HTTP/1.1; `keep_alive`: it may use the connection again.

    `head`        the bytes of its head
    `chunked`     its body is written in pieces, and an end; else it is written as it is
    `keep_alive`  the connection is of use behind the answer
    """

    __slots__ = ("chunked", "head", "keep_alive")

    def __init__(
        self,
        status: int,
        headers: list[tuple[bytes, bytes]],
        own: bytes = b"",
        *,
        length: int | None,
        chunks: bool,
        keep_alive: bool,
    ) -> None:
        if status in _WITHOUT_BODY:
            self.chunked, last = False, b""
        elif length is not None:
            self.chunked, last = False, b"content-length: %d\r\n" % length
        else:
            self.chunked, last = chunks, b"transfer-encoding: chunked\r\n" if chunks else b""
        self.keep_alive = keep_alive and (length is not None or chunks)
        self.head = _head(status, headers, own, last if self.keep_alive else last + b"connection: close\r\n")

    def piece(self, data: bytes) -> bytes:
        """A piece of the body."""
        return b"%x\r\n%s\r\n" % (len(data), data) if self.chunked and data else data

    def end(self) -> bytes:
        """What ends an answer that is whole."""
        return b"0\r\n\r\n" if self.chunked else b""
