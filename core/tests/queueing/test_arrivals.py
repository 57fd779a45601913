"""When which item came, without a note for each."""

from __future__ import annotations

import pytest

from penstock import FifoTaskQueue
from penstock.queueing.arrivals import Arrivals
from penstock.testing import group_key, make_task, take_one


def test_an_item_came_at_the_moment_that_had_begun_last_before_it() -> None:
    arrivals = Arrivals()
    arrivals.begin(1, 10.0)
    arrivals.begin(4, 10.0)
    arrivals.begin(7, 12.5)
    assert [arrivals.moment_of(number) for number in (1, 5, 6, 7, 90)] == [10.0, 10.0, 10.0, 12.5, 12.5]


def test_nobody_had_come_before_the_first() -> None:
    with pytest.raises(LookupError):
        Arrivals().moment_of(1)


def test_with_many_moments_an_item_is_told_to_have_come_a_little_earlier_and_never_later() -> None:
    arrivals = Arrivals()
    for number in range(1, 20_001):
        arrivals.begin(number, float(number))
    for number in (1, 5_000, 19_999, 20_000):
        assert number - 64 <= arrivals.moment_of(number) <= number


def test_the_oldest_of_a_group_tells_since_when_it_waits() -> None:
    queue = FifoTaskQueue()
    queue.enqueue([make_task("1", "a"), make_task("2", "b")], 5.0)
    queue.enqueue([make_task("3", "a")], 8.0)
    since = queue.view().waiting_since_by_group
    assert dict(since) == {group_key("a"): 5.0, group_key("b"): 5.0}
    take_one(queue)
    assert dict(since) == {group_key("a"): 8.0, group_key("b"): 5.0}
