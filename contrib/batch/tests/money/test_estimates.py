"""What a call may cost at most, from what is known before it goes out."""

from __future__ import annotations

import pytest

from penstock import Usage
from penstock_batch.money.estimates import FILE_BYTES, Estimates, most_output, text_bytes
from penstock_dialects import Prices

PRICES = Prices(input=1.0, output=10.0)


def test_an_answer_costs_its_max_tokens_at_most() -> None:
    most = Estimates().most("s", "chat", "p/m", PRICES, 300, {"max_tokens": 50})
    assert most.bounded
    assert most.cost == pytest.approx((101 * 1.0 + 50 * 10.0) / 1e6)


def test_without_max_tokens_it_is_half_as_much_again_as_the_largest_so_far() -> None:
    estimates = Estimates()
    assert not estimates.most("s", "chat", "p/m", PRICES, 300, {}).bounded
    for tokens in (10, 40, 20):
        estimates.note("s", "p/m", 300, Usage(100, tokens))
    assert estimates.output("s", {}) == 60
    assert estimates.output("another", {}) is None


def test_the_input_counts_by_the_most_tokens_for_a_byte_that_were_seen() -> None:
    estimates = Estimates()
    estimates.note("s", "p/m", 300, Usage(60, 1))
    estimates.note("s", "p/m", 300, Usage(90, 1))
    estimates.note("s", "p/m", 300, Usage(75, 1))
    assert estimates.input("p/m", 1000) == 301


def test_a_free_answer_needs_no_bound() -> None:
    assert Estimates().most("s", "chat", "p/m", Prices(), 300, {}).free


def test_an_embedding_has_no_output() -> None:
    most = Estimates().most("s", "embedding", "p/m", PRICES, 300, {})
    assert most.bounded
    assert most.cost == pytest.approx(101e-6)


def test_what_is_written_to_a_cache_may_be_dearer() -> None:
    dear = Prices(input=1.0, output=10.0, cache_write=1.25)
    assert Estimates().most("s", "embedding", "p/m", dear, 300, {}).cost == pytest.approx(101e-6 * 1.25)


@pytest.mark.parametrize(
    ("params", "most"),
    [({}, None), ({"max_tokens": 0}, None), ({"max_tokens": True}, None), ({"max_completion_tokens": 7}, 7)],
)
def test_only_a_number_of_tokens_bounds(params: dict[str, object], most: int | None) -> None:
    assert most_output(params) == most


def test_a_picture_counts_for_one_file_however_large() -> None:
    small, large = ({"content": [{"url": f"data:image/png;base64,{'A' * size}"}]} for size in (10, 10**6))
    assert text_bytes(small) == text_bytes(large)
    assert text_bytes(small) >= FILE_BYTES


def test_text_counts_by_its_bytes() -> None:
    assert text_bytes({"input": "žluťoučký", "model": "m"}) == len("žluťoučký".encode()) + 1
