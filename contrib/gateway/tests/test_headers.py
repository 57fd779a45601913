"""Which headers pass, in both directions."""

from __future__ import annotations

import pytest

from penstock_gateway import ClientRequest
from penstock_gateway.headers import answer_headers, passes_encoding, presented_key, request_headers


def request(*headers: tuple[bytes, bytes]) -> ClientRequest:
    return ClientRequest(headers=list(headers))


def test_what_belongs_to_a_connection_stops_with_what_connection_names() -> None:
    came = request(
        (b"connection", b"keep-alive, X-Hop"),
        (b"x-hop", b"1"),
        (b"keep-alive", b"5"),
        (b"te", b"trailers"),
        (b"transfer-encoding", b"chunked"),
        (b"anthropic-version", b"2023-06-01"),
        (b"user-agent", b"me"),
    )
    assert request_headers(came, plain=False) == [
        (b"anthropic-version", b"2023-06-01"),
        (b"user-agent", b"me"),
        (b"accept-encoding", b"identity"),
    ]
    answered = [
        (b"connection", b"x-hop"),
        (b"x-hop", b"1"),
        (b"set-cookie", b"a"),
        (b"content-type", b"t"),
        (b"retry-after", b"3"),
    ]
    assert answer_headers(answered, dict(answered)) == [(b"content-type", b"t"), (b"retry-after", b"3")]


OF_THE_GATEWAY = (
    "authorization x-api-key api-key cookie host content-length openai-organization expect x-forwarded-for forwarded "
    "x-penstock-deadline x-request-timeout proxy-authorization"
)


@pytest.mark.parametrize(
    "name",
    OF_THE_GATEWAY.split(),
)
def test_what_is_for_the_gateway_stops_there(name: str) -> None:
    assert request_headers(request((name.encode(), b"x")), plain=True) == [(b"accept-encoding", b"identity")]


def test_a_provider_cannot_speak_for_penstock() -> None:
    assert answer_headers([(b"x-penstock-waited", b"0")], {b"x-penstock-waited": b"0"}) == []


def test_what_connection_names_stops_wherever_it_says_so() -> None:
    answered = [(b"connection", b"X-One"), (b"x-one", b"1"), (b"connection", b"close"), (b"date", b"d")]
    assert answer_headers(answered, dict(answered)) == [(b"date", b"d")]


@pytest.mark.parametrize(
    ("accepted", "passes"),
    [(b"gzip, br", True), (b"br;q=1.0, gzip;q=0.8", True), (b"identity", False), (b"gzip;q=0", False), (b"", False)],
)
def test_gzip_passes_where_the_client_takes_it(accepted: bytes, passes: bool) -> None:
    came = request((b"accept-encoding", accepted))
    assert passes_encoding(came) == passes
    assert request_headers(came, plain=False)[-1] == (b"accept-encoding", b"gzip" if passes else b"identity")
    assert request_headers(came, plain=True)[-1] == (b"accept-encoding", b"identity")


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([(b"authorization", b"Bearer abc")], "abc"),
        ([(b"authorization", b"bearer  abc ")], "abc"),
        ([(b"authorization", b"Basic abc")], ""),
        ([(b"x-api-key", b"abc")], "abc"),
        ([(b"authorization", b"Bearer abc"), (b"x-api-key", b"xyz")], "abc"),
        ([], None),
    ],
)
def test_the_key_is_a_bearer_token_or_an_x_api_key(headers: list[tuple[bytes, bytes]], key: str | None) -> None:
    assert presented_key(request(*headers)) == key
