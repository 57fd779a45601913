from __future__ import annotations

import pytest
import trio
import trio.testing

from penstock_batch.calls.samples import all_samples


async def test_samples_are_in_order_and_so_many_at_a_time(autojump_clock: trio.testing.MockClock) -> None:
    running = most = 0

    async def one(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(10 - number)
        running -= 1
        return number

    assert await all_samples(7, 3, one) == list(range(7))
    assert most == 3


async def test_one_that_fails_stops_no_other_and_the_first_is_told(autojump_clock: trio.testing.MockClock) -> None:
    ended = []

    async def one(number: int) -> int:
        await trio.sleep(10 - number)
        if number in (1, 3):
            raise ValueError(number)
        ended.append(number)
        return number

    with pytest.raises(ValueError, match=r"^1$"):
        await all_samples(5, 5, one)
    assert sorted(ended) == [0, 2, 4]


async def test_samples_can_be_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    with trio.move_on_after(1) as scope:
        await all_samples(5, 5, lambda _: trio.sleep_forever())
    assert scope.cancelled_caught
