"""Request blocks that are entered and never left: what they hold comes back with the end of who entered them."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import (
    Attempt,
    ModelRequestExecutor,
    RequestCost,
    ResponseFacts,
    RuntimeEvent,
    TaskAbandoned,
    run_in_thread,
)
from penstock.testing import RequestBench
from penstock.testing.request_bench import CHAT

BOTH = RequestCost(2)
"""All places of the bench's model."""

Opens = Callable[[ModelRequestExecutor], Awaitable[object]]


async def pieces(executor: ModelRequestExecutor, **options: Any) -> AsyncGenerator[Attempt, None]:
    async with executor.attempt("p/m", **options) as attempt:
        yield attempt
        yield attempt


async def a_generator(executor: ModelRequestExecutor) -> AsyncGenerator[Attempt, None]:
    generator = pieces(executor)
    await anext(generator)
    return generator


async def by_hand(executor: ModelRequestExecutor) -> object:
    return await executor.attempt("p/m").__aenter__()


async def a_stack(executor: ModelRequestExecutor) -> object:
    stack = AsyncExitStack()
    await stack.enter_async_context(executor.attempt("p/m"))
    return stack


PLACES: dict[Any, tuple[Callable[..., Any], int]] = {
    a_generator: (pieces, 1),
    by_hand: (by_hand, 1),
    a_stack: (a_stack, 2),
}
"""The function in which each enters the block, and in which of its lines."""


def place_in(function: Callable[..., Any], line: int) -> str:
    """Line and name, as the log has them."""
    return f"{function.__code__.co_firstlineno + line} in {function.__name__}"


def outcomes(bench: RequestBench) -> list[str]:
    return [outcome.kind for outcome in bench.limiters[CHAT].outcomes]


async def in_a_task(function: Callable[..., Awaitable[Any]], *arguments: Any, name: str = "mine") -> Any:
    """What the function returns, in a trio task of its own that has ended."""
    results: list[Any] = []

    async def task() -> None:
        results.append(await function(*arguments))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(task, name=name)
    return results.pop()


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The log's lines of the request gate, so far."""
    caplog.set_level(logging.INFO, "penstock")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "penstock.requests"]


# -- in a trio task


@pytest.mark.parametrize("opens", [a_generator, by_hand, a_stack])
async def test_what_a_task_leaves_open_comes_back_with_its_end(
    bench: RequestBench, executor: ModelRequestExecutor, lines: Callable[[], list[str]], opens: Opens
) -> None:
    left = await in_a_task(opens, executor)  # kept, so that no collection closes it

    assert bench.in_flight() == (0, 0)
    assert executor.leases == (1, 1)
    assert outcomes(bench) == ["local_cancelled"]
    assert bench.kinds()[-2:] == ["model_request_completed", "request_lease_released"]
    (line,) = lines()
    assert line.startswith("trio task 'mine' has ended and left a request block open: its place at p/m/chat is given")
    assert f"entered at test_left_open.py:{place_in(*PLACES[opens])};" in line
    if isinstance(left, AsyncGenerator):
        await left.aclose()


async def test_who_waits_gets_the_place_at_that_moment(
    bench: RequestBench, executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    async def leaves_open() -> None:
        await executor.attempt("p/m", cost=BOTH).__aenter__()
        await trio.sleep(5)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leaves_open)
        await trio.testing.wait_all_tasks_blocked()
        before = trio.current_time()
        async with executor.attempt("p/m", cost=BOTH):
            assert trio.current_time() - before == pytest.approx(5)


async def test_a_childs_blocks_end_with_the_child_and_its_parents_with_the_parent(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    async def parent() -> None:
        await by_hand(executor)
        await in_a_task(by_hand, executor, name="child")
        assert bench.in_flight() == (1, 1)
        assert executor.leases == (2, 1)

    await in_a_task(parent)
    assert executor.leases == (2, 2)


async def test_all_that_a_task_leaves_open_comes_back_the_innermost_first(
    bench: RequestBench, executor: ModelRequestExecutor, lines: Callable[[], list[str]]
) -> None:
    async def task() -> list[str]:
        return [(await executor.attempt("p/m").__aenter__()).attempt_id for _ in range(2)]

    entered = await in_a_task(task)
    assert executor.leases == (2, 2)
    ended = [event for event in bench.delivered if event.event_kind == "model_request_completed"]
    assert [event.request_attempt_id for event in ended] == entered[::-1]
    assert len(lines()) == 2


async def test_a_cancelled_task_gives_back_what_it_left_open_before(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    kept: list[AsyncGenerator[Attempt, None]] = []

    async def task() -> None:
        kept.append(await a_generator(executor))
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(task)
        await trio.testing.wait_all_tasks_blocked()
        assert bench.in_flight() == (1, 1)
        nursery.cancel_scope.cancel()
    assert bench.in_flight() == (0, 0)
    assert outcomes(bench) == ["local_cancelled"]
    await kept.pop().aclose()


async def test_a_task_that_fails_gives_back_what_it_left_open_before(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    async def task() -> None:
        await by_hand(executor)
        raise ValueError("its own")

    with pytest.raises(ExceptionGroup):
        await in_a_task(task)
    assert outcomes(bench) == ["local_cancelled"]


async def test_what_was_answered_before_counts(bench: RequestBench, executor: ModelRequestExecutor) -> None:
    async def answered(status: int) -> None:
        attempt = await executor.attempt("p/m").__aenter__()
        attempt.answered(ResponseFacts(status=status))

    for status in (429, 200):
        await in_a_task(answered, status)
    assert outcomes(bench) == ["rate_limited", "local_cancelled"]


@pytest.mark.parametrize("late", ["closed", "read on", "an error"])
async def test_leaving_the_block_later_does_nothing(
    bench: RequestBench, executor: ModelRequestExecutor, lines: Callable[[], list[str]], late: str
) -> None:
    generator = await in_a_task(a_generator, executor)
    bench.kinds()
    async with executor.attempt("p/m", cost=BOTH):
        if late == "closed":
            await generator.aclose()
        elif late == "read on":
            assert len([attempt async for attempt in generator]) == 1
        else:
            with pytest.raises(ValueError, match="late"):
                await generator.athrow(ValueError("late"))
        assert bench.in_flight() == (2, 2), "the place belongs to another call by now"
    assert outcomes(bench) == ["local_cancelled", "success"]
    assert bench.kinds().count("model_request_completed") == 1
    assert len(lines()) == 1


async def test_the_end_that_somebody_takes_over_too_late_has_been(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    attempt = await in_a_task(by_hand, executor)
    assert not attempt.detach().release()
    assert attempt.outcome.kind == "local_cancelled"
    assert executor.leases == (1, 1)


async def test_a_block_that_another_task_leaves_in_time_is_nothing_to_give_back(
    bench: RequestBench, executor: ModelRequestExecutor, lines: Callable[[], list[str]]
) -> None:
    async def task() -> None:
        generator = await a_generator(executor)
        await in_a_task(generator.aclose)

    await in_a_task(task)
    assert executor.leases == (1, 1)
    assert lines() == []


async def test_detached_and_asked_attempts_are_nobodys(
    bench: RequestBench, executor: ModelRequestExecutor, lines: Callable[[], list[str]]
) -> None:
    async def task() -> list[penstock.DetachedAttempt]:
        async with executor.attempt("p/m") as attempt:
            body = attempt.detach()
        asked = executor.ask("p/m", lambda attempt: None)
        assert isinstance(asked, Attempt)
        return [body, asked.detach()]

    detached = await in_a_task(task)
    assert executor.leases == (2, 0)
    assert [each.release() for each in detached] == [True, True]
    assert lines() == []


async def test_a_receiver_that_fails_keeps_nothing_else_from_coming_back(
    bench: RequestBench, executor: ModelRequestExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(event: RuntimeEvent) -> None:
        if event.event_kind == "model_request_completed":
            raise ZeroDivisionError

    bench.events.subscribe(fails)
    for _ in range(2):
        await in_a_task(by_hand, executor)
    assert executor.leases == (2, 2)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError] * 2


async def test_the_gate_listens_to_the_ends_of_tasks_alone_and_while_it_is_open(bench: RequestBench) -> None:
    async with ModelRequestExecutor(bench.controller, bench.events) as executor:
        blocks = executor.gate.waits.blocks
        hooks = [name for name in dir(trio.abc.Instrument) if not name.startswith("_")]
        assert [name for name in hooks if name in vars(type(blocks))] == ["task_exited"]
    with pytest.raises(KeyError):
        trio.lowlevel.remove_instrument(blocks)


# -- in a run


@pytest.fixture
async def scheduler(autojump_clock: MockClock) -> AsyncIterator[penstock.Scheduler]:
    async with opened() as scheduler:
        yield scheduler


def opened() -> Any:
    return penstock.open_scheduler({"providers": {"acme": {"models": {"fast": {"max_parallel_requests": 1}}}}})


async def words() -> AsyncGenerator[int, None]:
    async with penstock.request("acme/fast"):
        yield 1
        yield 2


async def test_a_task_of_the_scheduler_leaves_no_place_taken(
    scheduler: penstock.Scheduler, lines: Callable[[], list[str]], autojump_clock: MockClock
) -> None:
    kept: list[AsyncGenerator[int, None]] = []

    async def half_read() -> int:
        kept.append(generator := words())
        return await anext(generator)

    handles = [scheduler.start_soon(half_read) for _ in range(3)]
    assert [await handle for handle in handles] == [1, 1, 1]
    assert scheduler.requests.leases == (3, 3)
    assert {line.partition(" has ended")[0] for line in lines()} == {f"trio task {h.task_id!r}" for h in handles}
    for generator in kept:
        await generator.aclose()
    assert scheduler.requests.leases == (3, 3)


# -- in a thread


def leaves_open() -> object:
    context = penstock.request("acme/fast")
    context.__enter__()
    return context


@pytest.mark.loopback
async def test_what_a_thread_leaves_open_comes_back_with_the_end_of_its_work(lines: Callable[[], list[str]]) -> None:
    async with opened() as scheduler:
        context = await run_in_thread(leaves_open, name="of the task")
        assert scheduler.requests.leases == (1, 1)
        assert scheduler.requests.gate.waits.blocks.by_holder == {}
        context.__exit__(None, None, None)  # type: ignore[attr-defined]
        await run_in_thread(context.__exit__, None, None, None)  # type: ignore[attr-defined]
        assert scheduler.requests.leases == (1, 1)
    (line,) = lines()
    assert line.startswith(
        "the work of thread 'of the task' has ended and left a request block open: its place at acme"
    )
    assert f"entered at test_left_open.py:{place_in(leaves_open, 2)};" in line


@pytest.mark.loopback
async def test_the_place_of_a_thread_that_was_left_comes_back_when_it_ends(lines: Callable[[], list[str]]) -> None:
    ends, inside = threading.Event(), trio.Event()

    async with opened() as scheduler:
        token = trio.lowlevel.current_trio_token()

        def goes_on() -> None:
            leaves_open()
            token.run_sync_soon(inside.set)
            ends.wait()

        async def task() -> None:
            with pytest.raises(TaskAbandoned):
                await run_in_thread(goes_on, leave=trio.lowlevel.checkpoint)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(task)
            await inside.wait()
            nursery.cancel_scope.cancel()
        assert scheduler.requests.leases == (1, 0), "the thread is still at it"
        ends.set()
        async with penstock.request("acme/fast"):
            assert scheduler.requests.leases == (2, 1)
    assert len(lines()) == 1


@pytest.mark.loopback
async def test_what_a_thread_of_trios_leaves_open_comes_back_with_the_task_that_awaits_it() -> None:
    async with opened() as scheduler:

        async def task() -> None:
            await trio.to_thread.run_sync(leaves_open)
            assert scheduler.requests.leases == (1, 0)

        await in_a_task(task)
        assert scheduler.requests.leases == (1, 1)


@pytest.mark.loopback
async def test_the_blocks_of_threads_whose_end_nobody_knows_stay(lines: Callable[[], list[str]]) -> None:
    done = trio.Event()

    async with opened() as scheduler:
        token = trio.lowlevel.current_trio_token()
        context = scheduler.requests.attempt("acme/fast")

        def foreign() -> None:
            context.__enter__()
            token.run_sync_soon(done.set)

        threading.Thread(target=foreign).start()
        await done.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert scheduler.requests.leases == (1, 0)
        await trio.to_thread.run_sync(context.__exit__, None, None, None)
        assert scheduler.requests.leases == (1, 1)
    assert lines() == []
