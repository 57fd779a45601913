"""Where the calls of a client go, and with which head. Pure."""

from __future__ import annotations

import ssl
from typing import Final
from urllib.parse import urlsplit

from penstock_wire.given import check_texts
from penstock_wire.request import Headers, RequestHead, pairs_of

__all__ = ["Target", "tls_context"]

_PORTS: Final = {"http": 80, "https": 443}
MOST_HEADS: Final = 64
"""That are kept: paths may be made of anything."""


def tls_context() -> ssl.SSLContext:
    """A TLS context that knows the certificates of the system, and speaks HTTP/1.1. Make one and share it: it reads all
    certificates that there are.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Target:
    """A base URL, behind which the paths of calls are put, and headers that go with each. Raises `ValueError` for a URL
    that is not of `http` or `https`, or holds a user, a query or a fragment, and for what is no header.
    """

    def __init__(self, base_url: str, headers: Headers = ()) -> None:
        check_texts(base_url=base_url)
        url = urlsplit(base_url)
        if url.scheme not in _PORTS or not url.hostname:
            raise ValueError("base_url must begin with http:// or https:// and a host")
        if url.username is not None or url.query or url.fragment:
            raise ValueError("base_url must hold no user, query or fragment")
        self.secure = url.scheme == "https"
        self.port = url.port or _PORTS[url.scheme]
        try:
            quoted = url.hostname.encode("idna").decode()
        except UnicodeError:
            raise ValueError("base_url must name a host whose parts between the dots have 1 to 63 characters") from None
        self.host = url.hostname if url.hostname.isascii() else quoted
        written = f"[{self.host}]" if ":" in self.host else self.host
        self._host = written if self.port == _PORTS[url.scheme] else f"{written}:{self.port}"
        self._path = url.path.rstrip("/")
        self._headers = pairs_of(headers)
        self._heads: dict[tuple[str, str], RequestHead] = {}
        self.head("POST", "/")  # so that wrong headers are told here

    def head(self, method: str, path: str) -> RequestHead:
        """The head of calls to a path."""
        head = self._heads.get((method, path))
        if head is None:
            target = f"{self._path}/{path.removeprefix('/')}"
            head = RequestHead(method, target, self._host, self._headers)
            if len(self._heads) < MOST_HEADS:
                self._heads[method, path] = head
        return head
