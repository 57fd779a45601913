"""The event of usage goes, and every other byte stays, however the stream is cut."""

from __future__ import annotations

from itertools import pairwise
from time import process_time

import pytest
from hypothesis import given, strategies as st

from penstock_gateway.usage_filter import LARGEST_EVENT, UsageFilter

USAGE = b'data: {"id": "1", "choices": [], "usage": {"prompt_tokens": 1}}\n\n'
KEPT = [
    b": a comment\n\n",
    b'data: {"choices": [{"delta": {"content": "\\"usage\\" \\"choices\\": []"}}], "usage": null}\n\n',
    b'data: {"choices": [], "prompt_filter_results": [], "usage": null}\n\n',
    b'data: {"choices": [{"delta": {}}], "usage": {"prompt_tokens": 1}}\r\n\r\n',
    b'event: x\ndata: {"choices": [], "usage": {}}\n\n',
    b'data: {"choices": [], "usage": \n\n',
    b"data: [DONE]\n\n",
]


def filtered(*pieces: bytes) -> bytes:
    stream = UsageFilter()
    return b"".join([*map(stream.feed, pieces), stream.end()])


@given(st.lists(st.sampled_from([USAGE, USAGE.replace(b"\n", b"\r\n"), *KEPT]), max_size=6), st.data())
def test_only_the_event_of_usage_is_taken_out(events: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(events)
    cuts = data.draw(st.sets(st.integers(0, len(stream)), max_size=8))
    edges = [0, *sorted(cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    assert filtered(*pieces) == b"".join(event for event in events if event in KEPT)


@pytest.mark.parametrize("rest", [b"data: [DONE]", b'data: {"choices": [{}]', b"\n"])
def test_what_has_not_ended_passes_at_the_end(rest: bytes) -> None:
    assert filtered(KEPT[0], rest) == KEPT[0] + rest


def test_an_event_that_is_too_large_to_be_one_of_usage_is_not_held() -> None:
    large = b"data: " + b"x" * (LARGEST_EVENT + 100)
    stream = UsageFilter()
    assert len(stream.feed(large)) > LARGEST_EVENT
    assert stream.feed(b"y\n\n" + USAGE + KEPT[-1]).endswith(b"y\n\n" + KEPT[-1])


def test_the_time_that_a_stream_takes_grows_with_its_bytes_however_it_is_cut() -> None:
    def seconds(count: int) -> float:
        stream, began = UsageFilter(), process_time()
        for _ in range(count):
            stream.feed(b"x")
        return process_time() - began

    ratio = min(seconds(16_000) / seconds(2_000) for _ in range(3))
    assert ratio < 24, "8 times the bytes took the square of that"
