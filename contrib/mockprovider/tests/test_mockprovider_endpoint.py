"""A simulated model under trio, in virtual time: no path keeps a slot."""

from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from penstock.testing import Latency, ProviderLimits, Refused, SimulatedModel
from penstock_mockprovider.endpoint import Endpoint, Running


def endpoint(**limits: object) -> Endpoint:
    given = ProviderLimits(latency=Latency(mean=1.0, sigma=0.0), **limits)  # type: ignore[arg-type]
    return Endpoint(SimulatedModel(given, random.Random(0), trio.current_time()))


async def carry(place: Endpoint, done: list[float]) -> None:
    """A call that waits until its answer is due, and notes when that was."""
    async with place.call("k", 1) as call:
        assert isinstance(call, Running)
        await trio.sleep_until(call.due)
        call.finish()
    done.append(trio.current_time())


async def test_a_call_is_due_after_its_latency(autojump_clock: MockClock) -> None:
    place, done, begin = endpoint(slots=1), list[float](), trio.current_time()
    await carry(place, done)
    assert done == [begin + 1.0]
    assert place.model.report().total.completed == 1


async def test_a_refusal_comes_after_the_refusal_latency(autojump_clock: MockClock) -> None:
    place, begin = endpoint(slots=1, refusal_latency=0.25), trio.current_time()
    async with place.call("k", 1), place.call("k", 1) as call:
        assert isinstance(call, Refused)
        assert trio.current_time() == begin + 0.25


async def test_leaving_without_an_answer_gives_the_slot_back(autojump_clock: MockClock) -> None:
    place = endpoint(slots=1)
    with pytest.raises(KeyError):
        async with place.call("k", 1):
            raise KeyError
    assert place.model.in_flight == 0
    assert place.model.report().total.abandoned == 1


@pytest.mark.parametrize("limits", [{"slots": 1}, {"slots": 1, "hang_share": 1.0}])
async def test_a_cancelled_call_gives_the_slot_back(limits: dict[str, object], autojump_clock: MockClock) -> None:
    place = endpoint(**limits)
    with trio.move_on_after(0.5):
        await carry(place, [])
    assert place.model.in_flight == 0


async def test_queued_calls_have_their_turn_in_order(autojump_clock: MockClock) -> None:
    place, done, begin = endpoint(slots=1, queue=True), list[float](), trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(carry, place, done)
    assert done == [begin + 1, begin + 2, begin + 3]


async def test_a_cancelled_queued_call_leaves_the_queue(autojump_clock: MockClock) -> None:
    place = endpoint(slots=1, queue=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(carry, place, [])
        await wait_all_tasks_blocked()
        with trio.move_on_after(0.5):
            await carry(place, [])
        assert (place.model.in_flight, place.model.waiting) == (1, 0)
    place.model.check_invariants()


async def test_a_call_cancelled_just_when_its_turn_came_passes_the_turn_on(autojump_clock: MockClock) -> None:
    place, done = endpoint(slots=1, queue=True), list[float]()
    async with trio.open_nursery() as nursery, place.call("k", 1) as first:
        assert isinstance(first, Running)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as waiting:
                waiting.start_soon(carry, place, done)
                await wait_all_tasks_blocked()
                nursery.start_soon(carry, place, done)
                await wait_all_tasks_blocked()
                first.finish()
                scope.cancel()
    assert len(done) == 1
    assert place.model.in_flight == 0
    place.model.check_invariants()


async def test_a_queued_call_starts_when_the_schedule_makes_room(autojump_clock: MockClock) -> None:
    place, done, begin = endpoint(queue=True, schedule=((0, 0), (10, 1))), list[float](), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(place.follow_schedule)
        nursery.start_soon(carry, place, done)
    assert done == [begin + 11]
