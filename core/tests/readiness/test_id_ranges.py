"""A set of ids that stays small, against a set."""

from __future__ import annotations

from hypothesis import given, settings, strategies as st

from penstock.readiness.id_ranges import IdRanges

ids = st.one_of(
    st.builds(lambda prefix, number: f"{prefix}{number}", st.sampled_from(("", "a/", "b7-")), st.integers(0, 30)),
    st.sampled_from(("plain", "x/007", "x/7", "x/0", "x/00", "", "7", "١٢", "9" * 5000, "2" * 30)),
)


@settings(max_examples=200, deadline=None)
@given(batches=st.lists(st.lists(ids, max_size=12), max_size=8), probes=st.lists(ids, max_size=20))
def test_it_is_a_set(batches: list[list[str]], probes: list[str]) -> None:
    ranges, expected = IdRanges(), set[str]()
    for batch in batches:
        ranges.update(batch)
        expected.update(batch)
        assert len(ranges) == len(expected)
    for probe in [*probes, *expected]:
        assert (probe in ranges) == (probe in expected)
    assert ranges.ranges() <= len(expected)


def test_a_column_of_finished_rows_takes_the_room_of_one_in_whatever_order_they_finish() -> None:
    ranges = IdRanges()
    ranges.update(f"column/{number}" for number in range(0, 1000, 2))
    assert ranges.ranges() == 500
    ranges.update(f"column/{number}" for number in reversed(range(1, 1000, 2)))
    assert (ranges.ranges(), len(ranges)) == (1, 1000)
