"""Calls that code in a thread makes: admitted as those of the task that it works for, waited for, and given back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio

import penstock
from penstock import ConfigError, Hints, PenstockError, ResponseFacts, RuntimeEvent, TaskAbandoned, run_in_thread

pytestmark = pytest.mark.loopback

CONFIG = {
    "providers": {"acme": {"models": {"fast": {"max_parallel_requests": 1}}}},
    "requests": {"retry_backoff": 0.001, "retry_on": ["provider_failure"]},
}


class Witness:
    def __init__(self) -> None:
        self.events: list[RuntimeEvent] = []
        self.asked = 0
        self.a_second_call_waits = trio.Event()

    @penstock.hookimpl
    def penstock_request_event(self, event: RuntimeEvent) -> None:
        self.events.append(event)
        self.asked += event.event_kind == "request_wait_started"
        if self.asked == 2:
            self.a_second_call_waits.set()

    def outcomes(self) -> list[str | None]:
        return [e.reason_or_outcome for e in self.events if e.event_kind == "model_request_completed"]


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def opened(witness: Witness) -> Callable[[], Any]:
    return lambda: penstock.open_scheduler(CONFIG, plugins=[witness])


def balanced(scheduler: penstock.Scheduler) -> bool:
    issued, returned = scheduler.requests.leases
    return issued == returned > 0


def call(status: int = 200) -> str:
    with penstock.request("acme/fast") as attempt:
        attempt.answered(ResponseFacts(status=status))
        return threading.current_thread().name


async def test_a_call_in_a_thread_is_one_of_the_tasks_calls(opened: Callable[[], Any], witness: Witness) -> None:
    async def task() -> str:
        return await run_in_thread(call, name="of the task")

    async with opened() as scheduler:
        assert await scheduler.start_soon(task, group="parse", row_group="rg") == "of the task"
        (lease,) = (e for e in witness.events if e.event_kind == "request_lease_acquired")
        assert lease.group == "local/parse"
        assert lease.correlation is not None
        assert lease.correlation.row_group == "rg"
        assert balanced(scheduler)
    assert witness.outcomes() == ["success"]


@pytest.mark.parametrize(("status", "outcome"), [(200, "success"), (429, "rate_limited"), (503, "provider_failure")])
async def test_the_outcome_follows_from_the_answer(
    opened: Callable[[], Any], witness: Witness, status: int, outcome: str
) -> None:
    async with opened() as scheduler:
        await run_in_thread(call, status)
        assert balanced(scheduler)
    assert witness.outcomes() == [outcome]


async def test_an_exception_leaves_the_block_as_it_is_and_gives_the_lease_back(opened: Callable[[], Any]) -> None:
    error = ValueError("its own")

    def failing() -> None:
        with penstock.request("acme/fast"):
            raise error

    async with opened() as scheduler:
        with pytest.raises(ValueError, match="its own") as caught:
            await run_in_thread(failing)
        assert caught.value is error
        assert balanced(scheduler)


async def test_wrong_options_are_refused_in_the_thread_that_gave_them(opened: Callable[[], Any]) -> None:
    async with opened():
        with pytest.raises(ConfigError, match="nobody"):
            await run_in_thread(lambda: penstock.request("nobody"))
        with pytest.raises(penstock.RequestAdmissionError):
            await run_in_thread(lambda: penstock.request("acme/unknown").__enter__())


async def test_the_runs_own_thread_is_not_blocked(opened: Callable[[], Any]) -> None:
    async with opened() as scheduler:
        with pytest.raises(RuntimeError, match="async with"), penstock.request("acme/fast"):
            pass
        assert scheduler.requests.leases == (0, 0)


async def test_hints_and_the_end_can_be_handed_over_in_a_thread(opened: Callable[[], Any], witness: Witness) -> None:
    def streaming() -> list[bool]:
        with penstock.request("acme/fast") as attempt:
            attempt.observe(Hints())
            attempt.answered(ResponseFacts(status=200))
            detached = attempt.detach()
        return [detached.release(), detached.release()]

    async with opened() as scheduler:
        assert await run_in_thread(streaming) == [True, False]
        assert balanced(scheduler)
    assert witness.outcomes() == ["success"]


async def test_a_thread_that_nobody_of_the_run_started_uses_the_gate(opened: Callable[[], Any]) -> None:
    done = trio.Event()

    async with opened() as scheduler:
        token = trio.lowlevel.current_trio_token()

        def foreign() -> None:
            with scheduler.requests.attempt("acme/fast") as attempt:
                attempt.answered(ResponseFacts(status=200))
            scheduler.requests.execute_from_thread(lambda attempt: None, "acme/fast")
            token.run_sync_soon(done.set)

        threading.Thread(target=foreign).start()
        await done.wait()
        assert scheduler.requests.leases == (2, 2)


# -- tried again


async def test_a_call_is_tried_again_in_its_own_thread(opened: Callable[[], Any], witness: Witness) -> None:
    tries: list[tuple[str, str | None]] = []

    def send(attempt: penstock.Attempt) -> str:
        tries.append((threading.current_thread().name, attempt.idempotency_key))
        attempt.answered(ResponseFacts(status=503 if len(tries) < 3 else 200))
        if len(tries) < 3:
            raise OSError("it broke off")
        return "done"

    async with opened() as scheduler:
        work = lambda: penstock.execute_from_thread(send, "acme/fast", idempotency_key="k")  # noqa: E731
        assert await run_in_thread(work, name="mine") == "done"
        assert balanced(scheduler)
    assert tries == [("mine", "k")] * 3
    assert witness.outcomes() == ["provider_failure", "provider_failure", "success"]


async def test_when_all_tries_have_failed_the_last_error_is_raised(opened: Callable[[], Any]) -> None:
    errors = [OSError(f"{number}") for number in range(2)]

    def send(attempt: penstock.Attempt) -> None:
        attempt.answered(ResponseFacts(status=503))
        raise errors.pop(0)

    async with opened() as scheduler:
        last = errors[-1]
        with pytest.raises(OSError, match="1") as caught:
            await run_in_thread(lambda: penstock.execute_from_thread(send, "acme/fast", max_attempts=2))
        assert caught.value is last
        mark = penstock.failure_mark(last)
        assert mark is not None
        assert not mark.retryable
        assert balanced(scheduler)


# -- cancelled


async def test_cancelling_ends_a_threads_wait_for_its_lease(opened: Callable[[], Any], witness: Witness) -> None:
    seen: list[BaseException] = []

    def waits() -> None:
        try:
            with penstock.request("acme/fast"):
                raise AssertionError("there was no place")
        except trio.Cancelled as error:
            seen.append(error)
            raise

    async with opened() as scheduler:
        async with penstock.request("acme/fast"), trio.open_nursery() as nursery:
            nursery.start_soon(run_in_thread, waits)
            await witness.a_second_call_waits.wait()
            nursery.cancel_scope.cancel()
        assert len(seen) == 1
        assert balanced(scheduler)


async def test_cancelling_tells_a_thread_that_asks_and_its_lease_comes_back(
    opened: Callable[[], Any], witness: Witness
) -> None:
    inside = trio.Event()

    async with opened() as scheduler:
        token = trio.lowlevel.current_trio_token()
        asked = threading.Event()

        def asks() -> None:
            with penstock.request("acme/fast"):
                token.run_sync_soon(inside.set)
                asked.wait()
                trio.from_thread.check_cancelled()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_in_thread, asks)
            await inside.wait()
            nursery.cancel_scope.cancel()
            asked.set()
        assert balanced(scheduler)
    assert witness.outcomes() == ["local_cancelled"]


async def test_a_thread_that_ends_all_the_same_has_its_result() -> None:
    begun, ends = trio.Event(), threading.Event()
    token = trio.lowlevel.current_trio_token()
    results: list[int] = []

    def does_not_ask() -> int:
        token.run_sync_soon(begun.set)
        ends.wait()
        return 3

    async def task() -> None:
        results.append(await run_in_thread(does_not_ask))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(task)
        await begun.wait()
        nursery.cancel_scope.cancel()
        ends.set()
    assert results == [3]


async def test_a_thread_can_be_left_and_its_call_ends_without_a_run(opened: Callable[[], Any]) -> None:
    inside, ends, over = trio.Event(), threading.Event(), threading.Event()
    left: list[BaseException] = []

    async with opened() as scheduler:
        token = trio.lowlevel.current_trio_token()

        def never_asks() -> None:
            with penstock.request("acme/fast"):
                token.run_sync_soon(inside.set)
                ends.wait()
            over.set()

        async def task() -> None:
            try:
                await run_in_thread(never_asks, leave=trio.lowlevel.checkpoint)
            except TaskAbandoned as error:
                left.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(task)
            await inside.wait()
            nursery.cancel_scope.cancel()
        assert scheduler.requests.leases == (1, 0)
    assert len(left) == 1
    ends.set()
    await trio.to_thread.run_sync(over.wait)


async def test_a_task_that_was_cancelled_before_starts_no_thread() -> None:
    ran: list[int] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        await run_in_thread(ran.append, 1)
    assert scope.cancelled_caught
    assert ran == []


# -- what is no plain function's way to end


async def test_an_async_function_is_refused_with_what_would_be_right() -> None:
    with pytest.raises(ConfigError, match="write `def`"):
        _ = await run_in_thread(trio.sleep, 0)


@pytest.mark.filterwarnings("error")  # of a coroutine that nobody awaited
async def test_a_call_that_has_only_been_begun_is_no_success(opened: Callable[[], Any], witness: Witness) -> None:
    async def asynchronous(_: object) -> None:
        raise AssertionError

    async def pieces(_: object) -> Any:
        yield 1

    def plain_pieces(_: object) -> Any:
        yield 1

    async with opened():
        for function in (asynchronous, pieces, plain_pieces):
            with pytest.raises(ConfigError, match=f"call must be a plain function in a thread; .*{function.__name__}"):
                await run_in_thread(partial(penstock.execute_from_thread, function, "acme/fast"))
    assert "success" not in witness.outcomes()
    for function in (asynchronous, pieces, plain_pieces):
        with pytest.raises(ConfigError, match="fn must be a plain function to run in a thread, and it returned"):
            await run_in_thread(function, None)


async def test_a_keyboard_interrupt_that_a_thread_raises_is_none_of_the_users() -> None:
    def interrupts() -> None:
        raise KeyboardInterrupt

    with pytest.raises(PenstockError, match="KeyboardInterrupt"):
        await run_in_thread(interrupts)
