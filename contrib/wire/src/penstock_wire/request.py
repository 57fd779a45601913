"""The bytes of a request. Pure.

A header value with a line break in it would be a second header, or a second request: it is refused, as is a name that
is none. What a client has of a request that is the same for all is made once (`RequestHead`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["Headers", "RequestHead", "pairs_of"]

Headers = Iterable[tuple[str, str]]

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_TARGET: Final = re.compile(r"[\x21-\x7e]+")
_OURS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection"})
_OURS_AS_BYTES: Final = frozenset(map(str.encode, _OURS))
_PASSING: Final = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9a-z-]++: [\t\x20-\x7e\x80-\xff]*+\r\n)*+")
"""Lines of headers, as `_lines` would make them but for those of `_OURS`."""


class RequestHead:
    """The head of requests with a method and a target at a host: all but the length of the body and headers of one
    call.

    >>> RequestHead("POST", "/v1/chat", "api.example", [("accept", "*/*")]).with_body(b"{}")
    b'POST /v1/chat HTTP/1.1\\r\\nhost: api.example\\r\\naccept: */*\\r\\ncontent-length: 2\\r\\n\\r\\n{}'

    Raises `ValueError` for a method, target or header that would not be one on the wire, and for those that are its own
    affair (`host`, `content-length`, `transfer-encoding`, `connection`).
    """

    def __init__(self, method: str, target: str, host: str, headers: Headers = ()) -> None:
        if not _NAME.fullmatch(method):
            raise ValueError(f"{method!r} is no method of HTTP")
        if not _TARGET.fullmatch(target):
            raise ValueError("the target of a request must be written in visible ASCII, what else it has quoted with %")
        if not _TARGET.fullmatch(host):
            raise ValueError("the host of a request must be written in visible ASCII")
        self.without_body = method in ("GET", "HEAD")
        """Whether no length is said where there is no body."""
        self._head = f"{method} {target} HTTP/1.1\r\nhost: {host}\r\n".encode() + _lines(headers)

    def with_body(self, body: bytes, headers: Headers = ()) -> bytes:
        """The request with this body, and with headers of its own."""
        return self._with(body, b"" if headers == () else _lines(headers))

    def passing(self, body: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
        """The same with headers that came over another wire, as bytes, names in lower case. What is wrong with one is
        not told, but that it is.
        """
        own = b"".join([name + b": " + value + b"\r\n" for name, value in headers])
        ours = [name for name, _ in headers if name in _OURS_AS_BYTES]
        if ours or own.count(b"\n") != len(headers) or not _PASSING.fullmatch(own):
            raise ValueError("a header that is to be passed on is none, or is made by the client")
        return self._with(body, own)

    def _with(self, body: bytes, own: bytes) -> bytes:
        if not body and self.without_body:
            return b"%s%s\r\n" % (self._head, own)
        return b"%s%scontent-length: %d\r\n\r\n%s" % (self._head, own, len(body), body)


def pairs_of(headers: Headers) -> list[tuple[str, str]]:
    """Headers as they are to be handed in. Raises `ValueError` for a mapping, and for what is no text."""
    given: object = headers
    if isinstance(given, Iterable) and not isinstance(given, Mapping | str | bytes):
        found = list(given)
        if all(
            isinstance(each, tuple | list) and [isinstance(one, str) for one in each] == [True, True] for each in found
        ):
            return [(name, value) for name, value in found]
    raise ValueError("headers must be pairs of text, such as [('accept', '*/*')]; of a dict give its items()")


def _lines(headers: Headers) -> bytes:
    lines = []
    for name, value in pairs_of(headers):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header")
        if name.lower() in _OURS:
            raise ValueError(f"the header {name!r} is made by the client")
        if not _VALUE.fullmatch(value) or value != value.strip():
            # The value is not shown: it may be a key.
            raise ValueError(f"the value of the header {name!r} holds a line break, a space at an end, or no Latin-1")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")
