"""Requests out of bytes: the same in whatever pieces they come, and nothing that is none."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from penstock_gateway import ClientRequest, Refusal, RequestParser
from penstock_gateway.request_parser import LARGEST_HEAD, MOST_HEADERS

TWO = (
    b"POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: x\r\nX-Thing: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrailer: t\r\n\r\n"
    b"POST /v1/embeddings HTTP/1.1\r\nhost: y\r\nContent-Length: 4\r\n\r\n\r\n\r\n"
)


def requests_in(*pieces: bytes, largest_body: int = 1000) -> list[ClientRequest]:
    parser, found = RequestParser(largest_body), []
    for piece in pieces:
        parser.feed(piece)
        while (request := parser.take()) is not None:
            found.append(request)
    return found


@given(st.sets(st.integers(0, len(TWO)), max_size=12))
def test_requests_are_the_same_in_whatever_pieces_they_come(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(TWO)]
    first, second = requests_in(*(TWO[a:b] for a, b in pairwise(edges) if a < b))
    assert (first.method, first.path, first.body) == ("POST", "/v1/chat/completions", b"abcde")
    assert first.target.endswith(b"?a=b")
    assert first.headers == [(b"host", b"x"), (b"x-thing", b"1"), (b"transfer-encoding", b"chunked")]
    assert (second.path, second.body, second.header(b"host")) == ("/v1/embeddings", b"\r\n\r\n", "y")
    assert first.keep_alive
    assert second.keep_alive


HOST = b"Host: x\r\n"


def test_zeros_before_a_length_are_passed_over() -> None:
    said = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"0" * 5000
    (request,) = requests_in(said + b"3\r\n\r\nabc")
    assert request.body == b"abc"
    with pytest.raises(Refusal, match="a body must not exceed 1000 bytes"):
        requests_in(said + b"1001\r\n\r\n")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
        (b"GET / HTTP/3.0\r\n" + HOST + b"\r\n", 400),
        (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET /" + b"x" * LARGEST_HEAD + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
        (b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999999\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1001\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001, 413),
        (b"GET / HTTP/1.1\r\n" + HOST + b"Bad Name: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + b"a: b\r\n" * MOST_HEADERS + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"a: " + b"x" * LARGEST_HEAD + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * LARGEST_HEAD, 431),
    ],
)
def test_what_is_no_request_is_refused_in_one_piece_and_in_many(data: bytes, status: int) -> None:
    for size in (len(data), 4096):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        with pytest.raises(Refusal) as caught:
            requests_in(*pieces)
        assert caught.value.status == status


def test_a_request_for_another_protocol_is_the_last_of_its_connection() -> None:
    parser = RequestParser(1000)
    parser.feed(b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\nrest")
    request = parser.take()
    assert request is not None
    assert not request.keep_alive


@pytest.mark.parametrize(
    "body", [b"Content-Length: 2\r\n\r\nab", b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("at", [1, 60, 10_000])
def test_a_wish_for_http_2_that_comes_with_a_body_is_passed_over(body: bytes, at: int) -> None:
    asks = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"
    sent = b"POST /a HTTP/1.1\r\n" + HOST + asks + body + b"GET /b HTTP/1.1\r\n" + HOST + b"\r\n"
    first, second = requests_in(*(sent[i : i + at] for i in range(0, len(sent), at)))
    assert (first.method, first.path, first.body, first.keep_alive) == ("POST", "/a", b"ab", True)
    assert first.header(b"upgrade") is None
    assert second.path == "/b"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_request_whose_wish_for_another_protocol_is_passed_over_is_of_its_own_version(version: str) -> None:
    asks = b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nab"
    (request,) = requests_in(b"POST /a HTTP/%s\r\n" % version.encode() + HOST + asks)
    assert (request.version, request.keep_alive, request.body) == (version, version == "1.1", b"ab")


def test_any_number_of_wishes_for_another_protocol_may_come_at_once() -> None:
    wish = b"POST /v1/x HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\n{}"
    assert [request.body for request in requests_in(wish * 2000)] == [b"{}"] * 2000


def test_a_body_that_a_wish_for_http_2_comes_with_has_its_bound() -> None:
    asks = b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 1001\r\n\r\n"
    with pytest.raises(Refusal) as caught:
        requests_in(b"POST /a HTTP/1.1\r\n" + HOST + asks)
    assert caught.value.status == 413


def test_a_request_before_one_that_is_none_is_whole_all_the_same() -> None:
    parser = RequestParser(1000)
    parser.feed(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n")
    assert parser.take() is not None
    with pytest.raises(Refusal):
        parser.take()
    with pytest.raises(Refusal):
        parser.feed(b"more")


def test_who_waits_before_sending_a_body_is_noticed_with_the_head() -> None:
    parser = RequestParser(1000)
    parser.feed(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert parser.expects
    assert parser.in_body
    assert parser.take() is None
    parser.feed(b"ab")
    request = parser.take()
    assert request is not None
    assert request.body == b"ab"
    assert not parser.expects


@pytest.mark.parametrize(
    ("line", "keeps"),
    [(b"HTTP/1.1\r\nHost: x\r\nConnection: close", False), (b"HTTP/1.0\r\nConnection: keep-alive", False)],
)
def test_a_connection_of_no_more_use_is_told(line: bytes, keeps: bool) -> None:
    (request,) = requests_in(b"GET / " + line + b"\r\n\r\n")
    assert request.keep_alive == keeps


@given(st.binary(max_size=300))
def test_whatever_comes_is_a_request_or_a_refusal(data: bytes) -> None:
    try:
        requests_in(data, b"\r\n\r\n")
    except Refusal as refusal:
        assert 400 <= refusal.status < 600  # noqa: PT017
