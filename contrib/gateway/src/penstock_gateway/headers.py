"""Which headers pass, in both directions. Pure.

What belongs to one connection stops here (RFC 9110, section 7.6.1), with whatever `Connection` names. A client's keys,
its account with a provider and what it says of itself to proxies are not the provider's affair; a provider's cookies
are not the client's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from penstock_gateway.request_parser import ClientRequest

__all__ = ["STOPPED", "answer_headers", "passes_encoding", "presented_key", "request_headers"]

_OF_A_CONNECTION: Final = frozenset(
    {
        b"close",
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_OF_THE_CLIENT: Final = frozenset(
    {
        b"accept-encoding",
        b"api-key",
        b"authorization",
        b"content-length",
        b"cookie",
        b"expect",
        b"forwarded",
        b"host",
        b"openai-organization",
        b"openai-project",
        b"via",
        b"x-api-key",
        b"x-goog-api-key",
        b"x-real-ip",
        b"x-request-timeout",
    }
)
_OF_THE_PROVIDER: Final = frozenset({b"alt-svc", b"content-length", b"set-cookie", b"strict-transport-security"})
STOPPED: Final = _OF_A_CONNECTION | _OF_THE_CLIENT
"""Headers of requests that no provider gets."""
_STOPPED_ANSWERS: Final = _OF_A_CONNECTION | _OF_THE_PROVIDER
_ORDINARY: Final = frozenset({b"keep-alive", b"close"})
"""What nearly all say of a connection, and what names no other header."""
_GZIP: Final = re.compile(r"\s*gzip\s*(;\s*q=(?!0(\.0*)?\s*$)[0-9.]+\s*)?")


def _passed(
    headers: list[tuple[bytes, bytes]], named: Mapping[bytes, bytes], stops: frozenset[bytes], own: tuple[bytes, ...]
) -> list[tuple[bytes, bytes]]:
    """The headers that neither stop here, nor begin as those of `own`, nor belong to the connection as it says."""
    passed = [
        header
        for header in headers
        if header[0] not in stops and not (header[0].startswith(b"x-") and header[0].startswith(own))
    ]
    if b"connection" in named and (len(named) < len(headers) or named[b"connection"].lower() not in _ORDINARY):
        options = b",".join([value for name, value in headers if name == b"connection"])
        stopped = {option.strip().lower() for option in options.split(b",")}
        return [header for header in passed if header[0] not in stopped]
    return passed


def presented_key(request: ClientRequest) -> str | None:
    """The key that a client presents: as a bearer token, or in `x-api-key`."""
    authorization = request.first.get(b"authorization")
    if authorization is not None:
        kind, _, key = authorization.decode("latin-1").partition(" ")
        return key.strip() if kind.lower() == "bearer" else ""
    return request.header(b"x-api-key")


def passes_encoding(request: ClientRequest) -> bool:
    """Whether the client takes an answer in gzip, which can be read here too."""
    accepted = (request.header(b"accept-encoding") or "").lower()
    return any(_GZIP.fullmatch(each) for each in accepted.split(","))


def request_headers(
    request: ClientRequest, *, plain: bool, stops: frozenset[bytes] = STOPPED
) -> list[tuple[bytes, bytes]]:
    """The headers of a request for the provider, but those in `stops`: `STOPPED`, and what the gateway sends itself.
    `plain`: its answer must not be packed.
    """
    passed = _passed(request.headers, request.first, stops, (b"x-penstock-", b"x-forwarded-"))
    packed = not plain and b"accept-encoding" in request.first and passes_encoding(request)
    passed.append((b"accept-encoding", b"gzip" if packed else b"identity"))
    return passed


def answer_headers(headers: list[tuple[bytes, bytes]], named: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer for the client, but for its length. `named` has their names."""
    return _passed(headers, named, _STOPPED_ANSWERS, (b"x-penstock-",))
