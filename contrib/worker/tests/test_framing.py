"""Lines out of chunks: the same however the bytes are cut, and at bounded memory."""

from __future__ import annotations

from hypothesis import given, strategies as st

from penstock_worker.framing import LineSplitter, LongLine


def lines(splitter: LineSplitter, *chunks: bytes) -> list[bytes | LongLine]:
    return [*(line for chunk in chunks for line in splitter.feed(chunk)), *splitter.end()]


@given(st.lists(st.binary(max_size=5) | st.just(b"\n"), max_size=20))
def test_lines_are_the_same_however_the_bytes_are_cut(chunks: list[bytes]) -> None:
    *whole, rest = b"".join(chunks).split(b"\n")

    assert lines(LineSplitter(1000), *chunks) == [*whole, *([rest] if rest else [])]


@given(st.lists(st.binary(max_size=4), max_size=12))
def test_a_line_above_the_limit_is_passed_over_with_its_size(chunks: list[bytes]) -> None:
    *whole, rest = b"".join(chunks).split(b"\n")
    found = lines(LineSplitter(5), *chunks)

    for got, line in zip(found, [*whole, *([rest] if rest else [])], strict=True):
        if isinstance(got, LongLine):
            assert len(line) == got.size > 5
            assert line.startswith(got.head)
            assert got.head
        else:
            assert got == line
            assert len(line) <= 5


def test_of_a_long_line_only_the_beginning_is_kept() -> None:
    (line, after) = lines(LineSplitter(10_000), b"a" * 9_000, b"b" * 9_000, b"c\nnext")

    assert isinstance(line, LongLine)
    assert (line.head, line.size) == (b"a" * 4096, 18_001)
    assert after == b"next"
