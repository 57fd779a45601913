"""`scheduler.map`: results in the order of completion, and a bounded number of items in hand; in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import trio
from trio.testing import MockClock

from penstock import ConfigError, Denied, SchedulableTask, Signal, TaskCancelled
from penstock.testing import open_rig


async def wait(seconds: float) -> float:
    await trio.sleep(seconds)
    return seconds


async def fails_on_three(number: int) -> int:
    await trio.sleep(number)
    if number == 3:
        raise ValueError("three")
    return number


async def test_results_come_as_they_complete(autojump_clock: MockClock) -> None:
    async with open_rig(places=4) as rig, rig.scheduler.map(wait, [3, 1, 2]) as results:
        assert [result async for result in results] == [1, 2, 3]


async def test_an_empty_source_gives_nothing(autojump_clock: MockClock) -> None:
    async def none() -> AsyncIterator[float]:
        nothing: list[float] = []
        for number in nothing:
            yield number

    async with open_rig() as rig:
        sources: list[list[float] | AsyncIterator[float]] = [[], none()]
        for items in sources:
            async with rig.scheduler.map(wait, items) as results:
                assert [result async for result in results] == []


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_no_more_than_a_window_of_items_is_in_hand(autojump_clock: MockClock, asynchronous: bool) -> None:
    taken = given = most = 0

    def items() -> Iterator[float]:
        nonlocal taken, most
        for number in range(100):
            taken += 1
            most = max(most, taken - given)
            yield number % 3

    async def async_items() -> AsyncIterator[float]:
        for item in items():
            await trio.sleep(0.1)
            yield item

    async with open_rig(places=8) as rig:
        source = async_items() if asynchronous else items()
        async with rig.scheduler.map(wait, source, window=5) as results:
            async for _ in results:
                given += 1
                assert rig.scheduler.progress["unfinished"] <= 5
                if given % 10 == 0:
                    await trio.sleep(20)  # a slow taker
    assert given == 100
    assert most <= 6


async def test_while_a_source_is_at_work_nothing_is_a_stall(autojump_clock: MockClock) -> None:
    """A task that only a signal lets go, and a taker who waits: more may come for as long as the source says so."""

    async def slowly() -> AsyncIterator[float]:
        await trio.sleep(100_000)
        yield 1

    def rule(task: SchedulableTask, *_: object) -> Denied | None:
        return Denied("policy_denial", {Signal("go")}, by="rule") if task.group.key.identity[-1] == "held" else None

    async with open_rig(rule=rule) as rig:
        held = rig.scheduler.start_soon(wait, 1, group="held")
        async with rig.scheduler.map(wait, slowly()) as results:
            assert [result async for result in results] == [1]
        rig.scheduler.cancel_task(held.task_id)


async def test_a_run_ends_when_a_source_that_was_left_has_closed(autojump_clock: MockClock) -> None:
    async def slow_to_close() -> AsyncIterator[float]:
        try:
            yield 1
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(5)

    with trio.fail_after(100):
        async with open_rig() as rig, rig.scheduler.map(wait, slow_to_close()) as results:
            assert await anext(aiter(results)) == 1
    assert trio.current_time() == 5


async def test_a_failure_leaves_by_the_iteration_and_the_rest_is_cancelled(autojump_clock: MockClock) -> None:
    async with open_rig(places=10) as rig:
        got = []
        with pytest.raises(ValueError, match="three"):  # noqa: PT012
            async with rig.scheduler.map(fails_on_three, range(1, 8)) as results:
                async for result in results:
                    got.append(result)
        assert got == [1, 2]
        assert rig.scheduler.progress["unfinished"] == 0
        assert rig.scheduler.endings.unseen_failures() == []
    assert trio.current_time() == 3.0


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_leaving_early_cancels_what_is_in_hand(autojump_clock: MockClock, asynchronous: bool) -> None:
    closed = False

    async def source() -> AsyncIterator[float]:
        nonlocal closed
        try:
            for number in range(1, 1000):
                yield number
        finally:
            closed = True

    async with open_rig(places=4) as rig:
        async with rig.scheduler.map(wait, source() if asynchronous else range(1, 1000), window=8) as results:
            async for _ in results:
                break
        assert rig.scheduler.progress["unfinished"] == 0
        assert rig.scheduler.progress["cancelled"] == 7
        await trio.sleep(0)
    assert closed == asynchronous
    assert trio.current_time() == 1.0


async def test_items_are_tried_again(autojump_clock: MockClock) -> None:
    failed: set[int] = set()

    async def once(number: int) -> int:
        if number not in failed:
            failed.add(number)
            raise ValueError(number)
        return number

    async with open_rig() as rig, rig.scheduler.map(once, range(10), retry_on=(ValueError,)) as results:
        assert sorted([result async for result in results]) == list(range(10))


async def test_a_source_that_raises_is_heard_of_after_what_it_gave(autojump_clock: MockClock) -> None:
    def source() -> Iterator[float]:
        yield 1
        raise KeyError("source")

    async def async_source() -> AsyncIterator[float]:
        yield 1
        yield 2
        raise KeyError("source")

    async with open_rig() as rig:
        with pytest.raises(KeyError, match="source"):  # noqa: PT012
            async with rig.scheduler.map(wait, source()) as results:
                async for _ in results:
                    pass
        got = []
        with pytest.raises(KeyError, match="source"):  # noqa: PT012
            async with rig.scheduler.map(wait, async_source()) as results:
                async for result in results:
                    got.append(result)
        assert got == [1, 2]


async def test_shutdown_ends_the_iteration(autojump_clock: MockClock) -> None:
    async with open_rig(places=2) as rig:
        with pytest.raises(TaskCancelled):  # noqa: PT012
            async with rig.scheduler.map(wait, [1, 100, 1000], window=3) as results:
                async for _ in results:
                    rig.scheduler.shutdown()
    assert rig.scheduler.admission.leases == (3, 3) or rig.scheduler.admission.leases == (2, 2)


async def test_two_may_share_one_iteration(autojump_clock: MockClock) -> None:
    got: list[float] = []
    async with open_rig(places=8) as rig, rig.scheduler.map(wait, [1.0] * 20) as results:

        async def take() -> None:
            async for result in results:
                got.append(result)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            nursery.start_soon(take)
    assert len(got) == 20


async def test_a_window_is_a_whole_number(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        for window in (0, -1, 1.5):
            with pytest.raises(ConfigError, match="window"):
                rig.scheduler.map(wait, [1], window=window)  # type: ignore[arg-type]


async def test_a_map_that_nobody_entered_says_what_would_be_right(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        with pytest.warns(RuntimeWarning, match=r"the map of wait was never entered.*`async with scheduler\.map"):
            rig.scheduler.map(wait, [1.0])
        with pytest.raises(RuntimeError, match=r"the map of wait was never entered.*`async with scheduler\.map"):
            async for _ in rig.scheduler.map(wait, [1.0]):
                pass


async def test_a_map_that_could_not_be_made_does_not_warn_as_well(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        with pytest.raises(ConfigError, match="items must be an iterable"):
            rig.scheduler.map(wait, 1.0)  # type: ignore[call-overload]
