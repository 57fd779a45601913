"""Answers, fed in whatever pieces: the same comes of them, and what is none is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from penstock_wire import AnswerParser, BadAnswer, ConnectionLost

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Last: 1\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + PLAIN
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\n\r\nall of it"


def fed(*pieces: bytes, body_follows: bool = True, closed: bool = False) -> AnswerParser:
    parser = AnswerParser(body_follows=body_follows)
    for piece in pieces:
        parser.feed(piece)
    if closed:
        parser.feed_eof()
    return parser


@pytest.mark.parametrize(
    ("answer", "closed", "body", "reusable"),
    [
        (PLAIN, False, b"{}", True),
        (CHUNKED, False, b"abcde", True),
        (INTERIM, False, b"{}", True),
        (UNTIL_CLOSED, True, b"all of it", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", False, b"", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", False, b"a", False),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na", False, b"a", False),
    ],
)
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(
    answer: bytes, closed: bool, body: bytes, reusable: bool
) -> None:
    for size in (1, 2, 3, 7, len(answer)):
        parser = fed(*(answer[at : at + size] for at in range(0, len(answer), size)), closed=closed)
        assert parser.done
        assert parser.reusable is reusable
        assert b"".join(parser.take()) == body


def test_headers_of_interim_answers_and_behind_the_body_are_left_out() -> None:
    assert fed(INTERIM).headers == [(b"content-type", b"application/json"), (b"content-length", b"2")]
    assert fed(CHUNKED).headers == [(b"transfer-encoding", b"chunked")]


def test_what_comes_behind_the_end_is_nobodys() -> None:
    parser = fed(PLAIN + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad")
    assert b"".join(parser.take()) == b"{}"
    assert not parser.reusable


def test_an_answer_to_head_has_no_body_whatever_it_says() -> None:
    parser = fed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", body_follows=False)
    assert parser.done
    assert not parser.reusable
    assert parser.take() == []


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % number for number in range(300)) + b"\r\n",
    ],
)
def test_what_is_no_answer_is_refused(answer: bytes) -> None:
    with pytest.raises(BadAnswer):
        fed(answer)


def test_a_head_without_end_is_refused() -> None:
    parser = AnswerParser()
    parser.feed(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(60):
        parser.feed(b"x" * 1000)
    with pytest.raises(BadAnswer, match="larger than 64 KiB"):
        fed_until_refused(parser)


def fed_until_refused(parser: AnswerParser) -> None:
    for _ in range(20):
        parser.feed(b"x" * 1000)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "without an answer"),
        (b"HTTP/1.1 20", "in the middle of the answer's head"),
        (PLAIN[:-1], "in the middle of the answer"),
        (CHUNKED[:-3], "in the middle of the answer"),
    ],
)
def test_a_connection_that_is_closed_too_early_is_told(answer: bytes, says: str) -> None:
    with pytest.raises(ConnectionLost, match=says):
        fed(answer, closed=True) if answer else AnswerParser().feed_eof()


@given(st.binary(max_size=200), st.lists(st.integers(1, 50), max_size=10))
def test_whatever_comes_is_an_answer_or_refused(data: bytes, sizes: list[int]) -> None:
    parser = AnswerParser()
    try:
        for size in [*sizes, len(data)]:
            parser.feed(data[:size])
            data = data[size:]
        parser.feed_eof()
    except (BadAnswer, ConnectionLost):
        return
    assert parser.done
    assert parser.status >= 200


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 099 X\r\nContent-Length: 5\r\n\r\nEVIL!" + PLAIN,
        b"HTTP/1.1 000 X\r\nContent-Length: 5\r\n\r\nEVIL!" + PLAIN,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
        CHUNKED[:-2] + b"X: " + b"y" * 200_000,
        CHUNKED[:-2] + b"X: y\r\n" * 40_000,
        CHUNKED[:-2].removesuffix(b"0\r\nX-Last: 1\r\n") + b"1;" + b"x" * 200_000,
    ],
)
def test_what_has_two_meanings_or_no_end_beside_its_body_is_refused(answer: bytes) -> None:
    for size in (1000, 65_536):
        with pytest.raises(BadAnswer):
            fed(*(answer[at : at + size] for at in range(0, len(answer), size)))
