"""The order of endpoints: the share of the limit that is in use, those that are closed last, equals in turn."""

from __future__ import annotations

from hypothesis import given, strategies as st

from penstock_endpoints import EndpointStanding, by_calls_ahead


def test_the_share_in_use_counts_and_not_the_number() -> None:
    assert by_calls_ahead([EndpointStanding(4, 2), EndpointStanding(64, 8)], 0.0) == [1, 0]


def test_who_is_closed_comes_last_in_the_order_of_opening() -> None:
    standings = [
        EndpointStanding(8, 0, 9.0),
        EndpointStanding(8, 0, 5.0),
        EndpointStanding(8, 7),
        EndpointStanding(8, 0, 1.0),
    ]
    assert by_calls_ahead(standings, 2.0) == [3, 2, 1, 0]


def test_equals_take_turns() -> None:
    alike = [EndpointStanding(8, 0)] * 3
    assert [by_calls_ahead(alike, 0.0, turn)[0] for turn in range(6)] == [0, 1, 2, 0, 1, 2]


@given(
    st.lists(
        st.builds(EndpointStanding, st.integers(1, 50), st.integers(0, 99), st.none() | st.floats(0, 20)),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 100),
)
def test_every_endpoint_is_named_once_and_none_before_one_that_is_freer(
    standings: list[EndpointStanding], turn: int
) -> None:
    order = by_calls_ahead(standings, 10.0, turn)
    assert sorted(order) == list(range(len(standings)))
    open_ones = [standings[place] for place in order if (standings[place].blocked_until or 0.0) <= 10.0]
    assert order[: len(open_ones)] == [place for place in order if standings[place] in open_ones][: len(open_ones)]
    shares = [(each.ahead + 1) / each.limit for each in open_ones]
    assert shares == sorted(shares)
