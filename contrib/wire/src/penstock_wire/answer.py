"""An answer, fed piece by piece as it comes from the wire. Pure: no socket, no clock.

The bytes are taken apart by llhttp (`httptools`), strictly: an answer with two lengths, or with what is no header, is
refused, since whoever reads it otherwise finds another one in it. Interim answers (100 to 199) are passed over; a
status below them is none, and its body would be taken for that of the next answer. What comes behind the end of an
answer belongs to nobody: the connection is not used again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import httptools

from penstock_wire.errors import BadAnswer, ConnectionLost

__all__ = ["AnswerParser"]

LARGEST_HEAD: Final = 64 * 1024
"""Bytes of all heads of one call, interim ones too; and of what lies between two pieces of a body, or behind it."""
MOST_HEADERS: Final = 256
_WITHOUT_BODY: Final = (204, 304)


class AnswerParser:
    """The answer to one request. `body_follows` is false for an answer to `HEAD`.

    `status`      0 until the head is there
    `headers`     as they came, names in lower case; those behind the body are left out
    `named`       the same by name; of one that came more than once the last
    `done`        the answer has ended
    `reusable`    the connection can carry another request
    """

    __slots__ = (
        "_body_follows",
        "_fed",
        "_length_known",
        "_parser",
        "_pieces",
        "done",
        "headers",
        "named",
        "reusable",
        "status",
    )
    __deletable__ = ["_parser"]  # noqa: RUF012 -- mypyc's word for what `close` does

    def __init__(self, *, body_follows: bool = True) -> None:
        self._body_follows = body_follows
        self._parser = httptools.HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """The next bytes are those of another answer, over the same connection: for one that is `reusable`."""
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.named: dict[bytes, bytes] = {}
        self.done = False
        self.reusable = False
        self._length_known = False
        self._fed = 0
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises `BadAnswer`."""
        if self._fed > LARGEST_HEAD:
            what = "what the answer has beside its body" if self.status else "the head of the answer"
            raise BadAnswer(f"{what} is larger than {LARGEST_HEAD // 1024} KiB")
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, BadAnswer):
                raise error.__context__ from None
            self._ended_before(error)
        except httptools.HttpParserError as error:
            self._ended_before(error)

    def _ended_before(self, error: Exception) -> None:
        if not self.done:
            raise BadAnswer(f"the answer is no HTTP/1.1: {error}") from None
        self.reusable = False

    def feed_eof(self) -> None:
        """The other side has closed. Raises `ConnectionLost` where the answer has not ended by that."""
        if self.done:
            return
        if not self.status:
            what = "in the middle of the answer's head" if self._fed else "without an answer"
            raise ConnectionLost(f"the connection was closed {what}")
        if self._length_known:
            raise ConnectionLost("the connection was closed in the middle of the answer")
        self.done, self.reusable = True, False

    def close(self) -> None:
        """Nothing more is fed; what was is still there. It and llhttp's parser know each other until then."""
        del self._parser

    @property
    def pending(self) -> bool:
        """Whether pieces of the body have come that nobody has taken."""
        return bool(self._pieces)

    def take(self) -> Sequence[bytes]:
        """The pieces of the body that have come since the last time."""
        pieces, self._pieces = self._pieces, []
        return pieces

    # -- what llhttp calls --

    def on_message_begin(self) -> None:
        """A message begins."""
        if self.done:
            self.reusable = False
            raise ValueError("behind the end of the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or one of those behind the body."""
        if not self.status:
            name = name.lower()
            self.headers.append((name, value))
            self.named[name] = value

    def on_headers_complete(self) -> None:
        """The head is there."""
        headers, status = self.headers, self._parser.get_status_code()
        if len(headers) > MOST_HEADERS:
            raise BadAnswer(f"the answer has more than {MOST_HEADERS} headers")
        if status == 101:
            raise BadAnswer("the answer changes the protocol, which nobody asked for")
        if status < 100:
            raise BadAnswer("the answer has a status below 100, which is none")
        if status < 200:
            self.headers, self.named = [], {}
            return
        self.status, self._fed = status, 0
        named = self.named
        encoded = b"transfer-encoding" in named
        if encoded:
            encodings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
            if encodings != [b"chunked"]:
                raise BadAnswer("the answer has another transfer encoding than chunked, which nobody asked for")
        self._length_known = encoded or b"content-length" in named
        if not self._body_follows or status in _WITHOUT_BODY:
            self._length_known = True
            self.done = not self._body_follows

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        self._fed = 0
        if self._body_follows:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """The message has ended."""
        if self.status:
            self.done = True
            self.reusable = self._parser.should_keep_alive()
