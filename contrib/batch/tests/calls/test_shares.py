"""What each text of a call has used."""

from __future__ import annotations

from hypothesis import given, strategies as st

from penstock import Usage
from penstock_batch.calls.shares import shares_of, usages_of


@given(st.integers(0, 10**9), st.lists(st.integers(1, 10**6), min_size=1, max_size=30))
def test_shares_add_up_and_are_off_by_less_than_one(total: int, weights: list[int]) -> None:
    shares = shares_of(total, weights)
    assert sum(shares) == total
    whole = sum(weights)
    assert all(abs(share * whole - total * weight) < whole for share, weight in zip(shares, weights, strict=True))


def test_what_was_not_told_is_told_of_nobody() -> None:
    assert usages_of(Usage(), [1, 2]) == [Usage(), Usage()]
    assert usages_of(Usage(9, 0), [1, 2]) == [Usage(3, 0), Usage(6, 0)]
