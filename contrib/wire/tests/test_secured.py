"""TLS without a socket, against the TLS of a server over the same kind of memory."""

from __future__ import annotations

import ssl
from contextlib import suppress

import pytest

from penstock_wire import Secured


class Server:
    """The other side: what it gets, and what it sends."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._came, self._goes, server_side=True)

    def agree(self, data: bytes) -> bytes:
        self._came.write(data)
        with suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._goes.read()

    def got(self, data: bytes) -> bytes:
        self._came.write(data)
        return self._tls.read(1 << 20)

    def said(self, data: bytes) -> bytes:
        self._tls.write(data)
        return self._goes.read()

    def farewell(self) -> bytes:
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.unwrap()
        return self._goes.read()


def agreed(contexts: tuple[ssl.SSLContext, ssl.SSLContext], host: str = "provider.example") -> tuple[Secured, Server]:
    client, server = Secured(contexts[1], host), Server(contexts[0])
    assert not client.agree(None)
    while not client.agree(server.agree(client.to_send())):
        pass
    tickets = server.agree(client.to_send())
    assert client.opened(tickets) == (b"", False)
    return client, server


def test_what_is_sealed_is_opened_on_the_other_side(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    client, server = agreed(contexts)
    request, answer = b"POST" * 1000, b"x" * 100_000
    sealed = client.sealed(request)
    assert request not in sealed
    assert server.got(sealed) == request
    raw = server.said(answer)
    came = b"".join(client.opened(raw[at : at + 777])[0] for at in range(0, len(raw), 777))
    assert came == answer


def test_the_end_is_told_with_and_without_a_farewell(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    client, server = agreed(contexts)
    assert client.opened(server.said(b"last") + server.farewell()) == (b"last", True)
    client, _ = agreed(contexts)
    assert client.opened(b"") == (b"", True)


def test_a_host_that_the_certificate_does_not_name_is_refused(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"other\.example"):
        agreed(contexts, "other.example")


def test_what_is_no_tls_is_an_error(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    client = Secured(contexts[1], "provider.example")
    client.agree(None)
    with pytest.raises(ssl.SSLError):
        client.agree(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    client, _ = agreed(contexts)
    with pytest.raises(ssl.SSLError):
        client.opened(b"\x17\x03\x03\x00\x05hello")
