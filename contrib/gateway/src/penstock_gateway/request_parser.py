"""What a client sends, taken apart: requests out of bytes, in whatever pieces they come. Pure: no socket, no clock.

The bytes are taken apart by llhttp (`httptools`), strictly. A request that follows another in the same bytes is a
request of its own, with its own key and its own limits: what is handed on is what the parser took for the body, never
what was read.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final

import httptools

from penstock_gateway.refusal import Refusal

__all__ = ["LARGEST_HEAD", "LONGEST_LENGTH", "ClientRequest", "RequestParser"]

LARGEST_HEAD: Final = 64 * 1024
"""Bytes of a request's line and headers, of what lies between two pieces of its body, and of what is behind that."""
MOST_HEADERS: Final = 128
LONGEST_LENGTH: Final = 20
"""Digits of a `Content-Length`: llhttp takes 64 bits, and any number of zeros before them."""
_TARGET: Final = re.compile(rb"[\x21-\x7e]+")
_ORIGIN: Final = re.compile(rb"(?i:https?)://[^/?#]*")


def _bytes_of(header: tuple[bytes, bytes]) -> int:
    return len(header[0]) + len(header[1])


def _head_too_large() -> Refusal:
    what = f"what a request has beside its body must not exceed {LARGEST_HEAD} bytes"
    return Refusal(431, "head_too_large", what)


class ClientRequest:
    """A request. `headers` as they came, names in lower case, without the space around values; `target` is the path
    with its query.
    """

    __slots__ = ("body", "first", "headers", "keep_alive", "method", "path", "target", "version")

    def __init__(
        self,
        method: str = "",
        target: bytes = b"",
        headers: list[tuple[bytes, bytes]] | None = None,
        version: str = "1.1",
        *,
        keep_alive: bool = False,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = [] if headers is None else headers
        self.version = version
        self.keep_alive = keep_alive
        self.body = b""
        self.first: dict[bytes, bytes] = dict(reversed(self.headers))
        """The headers by name; of one that came more than once the first."""
        if not target.startswith(b"/"):
            origin = _ORIGIN.match(target)
            target = target[0 if origin is None else origin.end() :]
        self.path = target.partition(b"?")[0].decode("latin-1")
        """The path without its query, also of a target that is a whole URL (RFC 9112, section 3.2.2)."""

    def header(self, name: bytes) -> str | None:
        """The value of a header, the first if it came more than once."""
        value = self.first.get(name)
        return None if value is None else value.decode("latin-1")


class RequestParser:
    """The requests of one connection. `largest_body` in bytes.

    `begun`      bytes of a request have come that is not whole yet
    `in_body`    the head of `request` has come, and its body not yet
    `expects`    whoever sends it waits for a word before its body (`Expect: 100-continue`)
    """

    __deletable__ = ["_parser"]  # noqa: RUF012 -- mypyc's word for what `close` does

    def __init__(self, largest_body: int) -> None:
        self.begun = False
        self.expects = False
        self.in_body = False
        self._largest_body = largest_body
        self._whole: deque[ClientRequest] = deque()
        self.request = ClientRequest()
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._head = self._size = 0
        self._refused: list[Refusal] = []
        """Why nothing more is taken."""
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises `Refusal` for what is no request, or is too large: then nothing more is taken."""
        if self._refused:
            raise self._refused[0]
        while data:
            self._head += len(data)
            rest = b""
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                rest = self._without_wish(data[upgrade.args[0] :])
            except httptools.HttpParserCallbackError as error:
                if isinstance(error.__context__, Refusal):
                    self._stop(error.__context__)
                else:  # of the parser's own
                    self._stop(Refusal(400, "invalid_request", f"the request is no HTTP/1.1: {error}"))
            except httptools.HttpParserError as error:
                self._stop(Refusal(400, "invalid_request", f"the request is no HTTP/1.1: {error}"))
            if self._head > LARGEST_HEAD:
                self._stop(_head_too_large())
            data = rest
        if self._refused and not self._whole:
            raise self._refused[0]

    def take(self) -> ClientRequest | None:
        """The next request that is whole. Raises `Refusal` where none is, and none will be."""
        if self._whole:
            return self._whole.popleft()
        if self._refused:
            raise self._refused[0]
        return None

    @property
    def holds(self) -> bool:
        """Whether a whole request has come that nobody has taken, or what is none."""
        return bool(self._whole or self._refused)

    def close(self) -> None:
        """Nothing more is fed. It and llhttp's parser know each other until then."""
        del self._parser

    def _without_wish(self, rest: bytes) -> bytes:
        """What is to be read in the place of a request for another protocol, and of what follows its head. A client of
        HTTP/2 that tries that with its first request, as Java's does, sends the body all the same: the request is read
        without that wish.
        """
        request = self._whole[-1]
        if request.method == "CONNECT" or request.first.keys().isdisjoint((b"content-length", b"transfer-encoding")):
            self._stop(Refusal(400, "invalid_request", "another protocol than HTTP/1.1 is not spoken here"))
            return b""
        self._whole.pop()
        lines = b"".join(b"%s: %s\r\n" % header for header in request.headers if header[0] != b"upgrade")
        self._parser = httptools.HttpRequestParser(self)
        first = b"%s %s HTTP/%s" % (request.method.encode(), request.target, request.version.encode())
        return b"%s\r\n%s\r\n%s" % (first, lines, rest)

    def _stop(self, refusal: Refusal) -> None:
        self._refused.append(refusal)

    # -- what llhttp calls --

    def on_message_begin(self) -> None:
        """A request begins."""
        self.begun = True
        self._target, self._headers, self._pieces, self._size = b"", [], [], 0

    def on_url(self, part: bytes) -> None:
        """A part of the target."""
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; those behind the body are left out."""
        if not self.in_body:
            self._headers.append((name.lower(), value.strip()))

    def on_headers_complete(self) -> None:
        """The head is there."""
        parser, headers = self._parser, self._headers
        if len(headers) > MOST_HEADERS:
            raise Refusal(431, "head_too_large", f"a request must not have more than {MOST_HEADERS} headers")
        if self._head > LARGEST_HEAD and len(self._target) + sum(map(_bytes_of, headers)) > LARGEST_HEAD:
            raise _head_too_large()
        method, version = parser.get_method().decode("latin-1"), parser.get_http_version()
        if version != "1.1" and version != "1.0":
            raise Refusal(400, "invalid_request", "another protocol than HTTP/1.1 is not spoken here")
        lasts = version == "1.1" and parser.should_keep_alive() and not parser.should_upgrade()
        request = self.request = ClientRequest(method, self._target, headers, version, keep_alive=lasts)
        first = request.first
        if b"transfer-encoding" in first and [
            value.strip().lower() for name, value in headers if name == b"transfer-encoding"
        ] != [b"chunked"]:
            raise Refusal(501, "unknown_encoding", "of transfer encodings chunked alone is known here")
        twice = len(first) < len(headers) and sum(name == b"host" for name, _ in headers) > 1
        if twice or (b"host" not in first and version == "1.1"):
            raise Refusal(400, "invalid_request", "a request must have one Host")
        length = first.get(b"content-length")
        if length is not None and int(length[-LONGEST_LENGTH:]) > self._largest_body:
            self._too_large()
        expects = first.get(b"expect")
        self.expects = expects is not None and expects.lower() == b"100-continue" and version == "1.1"
        if not _TARGET.fullmatch(self._target):
            raise Refusal(400, "invalid_request", "the target of a request must be written in visible ASCII")
        self.in_body = True
        self._head = 0

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        self._head = 0
        self._size += len(piece)
        if self._size > self._largest_body:
            self._too_large()
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.request.body = b"".join(self._pieces)
        self._whole.append(self.request)
        self.begun = self.in_body = self.expects = False
        self._head = 0

    def _too_large(self) -> None:
        raise Refusal(413, "body_too_large", f"a body must not exceed {self._largest_body} bytes")
