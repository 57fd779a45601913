"""An endpoint that answers in virtual time: answers, refusals, the silent queue, and clients that give up."""

from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock

from penstock import ResponseFacts
from penstock.testing import Latency, ProviderLimits, ScriptedEndpoint

ALWAYS_ONE_SECOND = Latency(1.0, 0.0)


def endpoint(**limits: object) -> ScriptedEndpoint:
    return ScriptedEndpoint(ProviderLimits(latency=ALWAYS_ONE_SECOND, **limits), random.Random(1))  # type: ignore[arg-type]


async def call_at(
    where: ScriptedEndpoint, moment: float, answers: list[tuple[float, ResponseFacts]], timeout: float = 1e9
) -> None:
    await trio.sleep_until(trio.current_time() + moment)
    with trio.move_on_after(timeout):
        facts = await where.call("me", 0)
        answers.append((trio.current_time(), facts))


async def test_an_answer_takes_its_latency_and_tells_it(autojump_clock: MockClock) -> None:
    began = trio.current_time()

    facts = await endpoint(slots=1).call("me", 0)

    assert trio.current_time() - began == 1.0
    assert (facts.status, facts.elapsed) == (200, 1.0)


async def test_a_call_over_the_slots_is_refused_soon_with_its_headers(autojump_clock: MockClock) -> None:
    where, answers = endpoint(slots=1, retry_after=2.0), list[tuple[float, ResponseFacts]]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call_at, where, 0.0, answers)
        nursery.start_soon(call_at, where, 0.5, answers)

    assert [facts.status for _, facts in answers] == [429, 200]
    assert answers[0][1].headers == {"retry-after": "2"}
    assert answers[0][1].elapsed == pytest.approx(0.05)


async def test_with_a_queue_calls_wait_in_silence_and_in_order(autojump_clock: MockClock) -> None:
    where, answers, began = endpoint(slots=1, queue=True), list[tuple[float, ResponseFacts]](), trio.current_time()
    async with trio.open_nursery() as nursery:
        for moment in (0.0, 0.1, 0.2):
            nursery.start_soon(call_at, where, moment, answers)

    assert [at - began for at, _ in answers] == pytest.approx([1.0, 2.0, 3.0])
    assert [facts.elapsed for _, facts in answers] == pytest.approx([1.0, 1.9, 2.8])


async def test_a_schedule_that_makes_room_lets_the_queue_in_at_its_moment(autojump_clock: MockClock) -> None:
    where, answers, began = (
        endpoint(schedule=((0.0, 1), (0.4, 3)), queue=True),
        list[tuple[float, ResponseFacts]](),
        trio.current_time(),
    )
    async with trio.open_nursery() as nursery:
        for moment in (0.0, 0.1, 0.2):
            nursery.start_soon(call_at, where, moment, answers)

    assert sorted(at - began for at, _ in answers) == pytest.approx([1.0, 1.4, 1.4])


async def test_a_client_that_gives_up_frees_its_slot_or_its_place_in_the_queue(autojump_clock: MockClock) -> None:
    where, answers, began = endpoint(slots=1, queue=True), list[tuple[float, ResponseFacts]](), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call_at, where, 0.0, answers, 0.5)
        nursery.start_soon(call_at, where, 0.1, answers, 0.2)
        nursery.start_soon(call_at, where, 0.2, answers)

    assert [at - began for at, _ in answers] == pytest.approx([1.5])
    where.model.check_invariants()
    assert (where.model.in_flight, where.model.waiting) == (0, 0)


async def test_a_hanging_call_never_comes_back_by_itself(autojump_clock: MockClock) -> None:
    where, answers = endpoint(slots=1, hang_share=1.0), list[tuple[float, ResponseFacts]]()

    await call_at(where, 0.0, answers, timeout=10_000.0)

    assert answers == []
    assert where.model.in_flight == 0
