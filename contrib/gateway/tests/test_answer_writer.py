"""The bytes of an answer, read back by a client's parser."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from penstock_gateway.answer_writer import AnswerWriter, whole_answer
from penstock_wire import AnswerParser


@given(st.lists(st.binary(max_size=40), max_size=6), st.booleans())
def test_a_body_comes_out_as_it_went_in(pieces: list[bytes], known: bool) -> None:
    length = sum(map(len, pieces)) if known else None
    writer = AnswerWriter(200, [(b"content-type", b"t")], length=length, chunks=True, keep_alive=True)
    raw = writer.head + b"".join(map(writer.piece, pieces)) + writer.end()
    parser = AnswerParser()
    parser.feed(raw)
    assert (parser.status, b"".join(parser.take()), parser.done) == (200, b"".join(pieces), True)
    assert parser.reusable
    assert writer.keep_alive


def test_an_answer_that_is_not_ended_is_not_whole() -> None:
    for length in (None, 10):
        writer = AnswerWriter(200, [], length=length, chunks=True, keep_alive=True)
        parser = AnswerParser()
        parser.feed(writer.head + writer.piece(b"abc"))
        assert not parser.done


def test_without_chunks_an_answer_of_no_known_length_ends_with_its_connection() -> None:
    writer = AnswerWriter(200, [], length=None, chunks=False, keep_alive=True)
    raw = writer.head + writer.piece(b"abc") + writer.end()
    assert raw.endswith(b"connection: close\r\n\r\nabc")
    assert not writer.keep_alive


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_has_no_length(status: int) -> None:
    writer = AnswerWriter(status, [], length=None, chunks=True, keep_alive=True)
    parser = AnswerParser()
    parser.feed(writer.head + writer.end())
    assert parser.done


def test_an_answer_to_head_has_the_length_and_no_body() -> None:
    raw = whole_answer(200, [], b"abc", close=False, head_only=True)
    assert raw == b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"
    assert b"connection: close\r\n" in whole_answer(599, [], b"", close=True)
