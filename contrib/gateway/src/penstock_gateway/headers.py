"""Which headers pass, in both directions. Pure.

What belongs to one connection stops here (RFC 9110, section 7.6.1), with whatever `Connection` names. A client's keys,
its account with a provider and what it says of itself to proxies are not the provider's affair; a provider's cookies
are not the client's.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence, Set
from typing import Final

from penstock_gateway.request_parser import ClientRequest

__all__ = ["answer_headers", "passes_encoding", "presented_key", "request_headers"]

_OF_A_CONNECTION: Final = frozenset(
    {
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
_GZIP: Final = re.compile(r"\s*gzip\s*(;\s*q=(?!0(\.0*)?\s*$)[0-9.]+\s*)?")


def _named(names: Container[bytes], headers: Sequence[tuple[bytes, bytes]]) -> Set[bytes]:
    """What the headers of a message say of its connection."""
    if b"connection" not in names:
        return _OF_A_CONNECTION
    return _OF_A_CONNECTION | {
        name.strip().lower() for known, value in headers if known == b"connection" for name in value.split(b",")
    }


def presented_key(request: ClientRequest) -> str | None:
    """The key that a client presents: as a bearer token, or in `x-api-key`."""
    authorization = request.header(b"authorization")
    if authorization is not None:
        kind, _, key = authorization.partition(" ")
        return key.strip() if kind.lower() == "bearer" else ""
    return request.header(b"x-api-key")


def passes_encoding(request: ClientRequest) -> bool:
    """Whether the client takes an answer in gzip, which can be read here too."""
    accepted = (request.header(b"accept-encoding") or "").lower()
    if "gzip" not in accepted:
        return False
    return any(_GZIP.fullmatch(each) for each in accepted.split(","))


def request_headers(request: ClientRequest, *, plain: bool, but: Container[bytes] = ()) -> list[tuple[bytes, bytes]]:
    """The headers of a request for the provider, `but` those that the gateway sends itself. `plain`: its answer must
    not be packed.
    """
    stops = _named(request.first, request.headers)
    passed = [
        (name, value.strip())
        for name, value in request.headers
        if name not in stops
        and name not in _OF_THE_CLIENT
        and name not in but
        and not name.startswith((b"x-penstock-", b"x-forwarded-"))
    ]
    passed.append((b"accept-encoding", b"identity" if plain or not passes_encoding(request) else b"gzip"))
    return passed


def answer_headers(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer for the client, but for its length."""
    stops = _named(dict(headers), headers)
    return [
        (name, value)
        for name, value in headers
        if name not in stops and name not in _OF_THE_PROVIDER and not name.startswith(b"x-penstock-")
    ]
