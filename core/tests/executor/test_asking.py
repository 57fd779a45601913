"""`ask`: an attempt without a task, at once where its lease is free, called back where it has to wait."""

from __future__ import annotations

import gc
import logging
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from penstock import (
    Attempt,
    ConfigError,
    ModelRequestExecutor,
    PenstockError,
    RequestAdmissionError,
    RequestWaiter,
    ResponseFacts,
    WaitingAttempt,
)
from penstock.requests.outcomes import SUCCESS
from penstock.testing import RequestBench
from penstock.testing.request_bench import CHAT

TOO_MANY_FILES = OSError(24, "Too many open files")


class Turns:
    """What was called back, in order."""

    def __init__(self) -> None:
        self.came: list[Attempt | PenstockError] = []

    def __call__(self, came: Attempt | PenstockError) -> None:
        self.came.append(came)


def fill(executor: ModelRequestExecutor, bench: RequestBench) -> Attempt:
    """The only place there is, taken."""
    executor.register(CHAT.provider_name, CHAT.model_id, cap=1)
    return at_once(executor)


def at_once(executor: ModelRequestExecutor, on_turn: Any = print) -> Attempt:
    attempt = executor.ask(CHAT, on_turn)
    assert isinstance(attempt, Attempt)
    return attempt


def wait(executor: ModelRequestExecutor, on_turn: Any, **options: Any) -> WaitingAttempt:
    waiting = executor.ask(CHAT, on_turn, **options)
    assert isinstance(waiting, WaitingAttempt)
    return waiting


async def test_an_attempt_is_there_at_once_and_is_classified_as_ever(
    executor: ModelRequestExecutor, bench: RequestBench, autojump_clock: MockClock
) -> None:
    attempt = at_once(executor)
    attempt.answered(ResponseFacts(status=429))
    assert attempt.detach().release()
    assert not attempt.detach().release()
    assert [outcome.kind for outcome in bench.limiters[CHAT].outcomes] == ["rate_limited"]


def there_are() -> list[Attempt | RequestWaiter]:
    return [each for each in gc.get_objects() if isinstance(each, Attempt | RequestWaiter)]


async def test_an_attempt_that_has_ended_does_not_wait_for_the_collector_of_circles(
    executor: ModelRequestExecutor, bench: RequestBench, autojump_clock: MockClock
) -> None:
    gc.collect()
    of_others = {id(each) for each in there_are()}
    gc.disable()
    try:
        first, turns = fill(executor, bench), Turns()
        wait(executor, turns)
        first.detach().release(SUCCESS)
        turns.came.pop().detach().release(SUCCESS)  # type: ignore[union-attr]
        del first
        assert [each for each in there_are() if id(each) not in of_others] == []
    finally:
        gc.enable()


async def test_a_turn_is_called_back_within_the_release_that_frees_it(
    executor: ModelRequestExecutor, bench: RequestBench, autojump_clock: MockClock
) -> None:
    first, turns = fill(executor, bench), Turns()
    wait(executor, turns)
    assert not turns.came
    first.detach().release(SUCCESS)
    (second,) = turns.came
    assert isinstance(second, Attempt)
    second.detach().release(SUCCESS)
    assert executor.leases == (2, 2)


async def test_what_is_called_back_may_go_through_the_gate_itself(
    executor: ModelRequestExecutor, bench: RequestBench, autojump_clock: MockClock
) -> None:
    first = fill(executor, bench)
    order = []

    def at_its_turn(number: int) -> Any:
        def come(came: Any) -> None:
            order.append(number)
            came.detach().release(SUCCESS)
            order.append(-number)

        return come

    for number in (1, 2, 3):
        wait(executor, at_its_turn(number))
    first.detach().release(SUCCESS)
    assert order == [1, -1, 2, -2, 3, -3]
    assert executor.leases == (4, 4)


async def test_a_wait_that_is_cancelled_is_not_called_back_and_leaves_the_line(
    executor: ModelRequestExecutor, bench: RequestBench, autojump_clock: MockClock
) -> None:
    first, turns, others = fill(executor, bench), Turns(), Turns()
    waiting = wait(executor, turns)
    wait(executor, others)
    assert waiting.cancel()
    assert not waiting.cancel()
    first.detach().release(SUCCESS)
    assert not turns.came
    assert len(others.came) == 1


async def test_a_turn_that_has_come_may_be_cancelled_before_it_is_called_back(
    executor: ModelRequestExecutor, bench: RequestBench, autojump_clock: MockClock
) -> None:
    executor.register(CHAT.provider_name, CHAT.model_id, cap=2)
    out, turns = [at_once(executor), at_once(executor)], Turns()
    waits: list[WaitingAttempt] = []

    def come(came: Any) -> None:
        waits[1].cancel()
        came.detach().release(SUCCESS)

    waits += [wait(executor, come), wait(executor, turns)]
    executor.register(CHAT.provider_name, CHAT.model_id, cap=4)
    assert not turns.came
    for attempt in out:
        attempt.detach().release(SUCCESS)
    issued, returned = executor.leases
    assert issued == returned


async def test_a_wait_that_takes_too_long_is_called_back_with_the_refusal(
    executor: ModelRequestExecutor, bench: RequestBench, autojump_clock: MockClock
) -> None:
    first, turns = fill(executor, bench), Turns()
    wait(executor, turns, timeout=5.0)
    await trio.sleep(6.0)
    (error,) = turns.came
    assert isinstance(error, RequestAdmissionError)
    assert error.reason == "queue_timeout"
    first.detach().release(SUCCESS)


async def test_who_waits_when_the_gate_is_shut_is_told(
    executor: ModelRequestExecutor, bench: RequestBench, autojump_clock: MockClock
) -> None:
    first, turns = fill(executor, bench), Turns()
    wait(executor, turns)
    executor.close()
    (error,) = turns.came
    assert isinstance(error, RequestAdmissionError)
    assert error.reason == "shutdown"
    with pytest.raises(RequestAdmissionError):
        executor.ask(CHAT, turns)
    first.detach().release(SUCCESS)


async def test_what_a_callback_raises_is_logged_and_gives_its_lease_back(
    executor: ModelRequestExecutor, bench: RequestBench, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    first, turns = fill(executor, bench), Turns()

    def fails(_: object) -> None:
        raise ZeroDivisionError

    wait(executor, fails)
    wait(executor, turns)
    with caplog.at_level(logging.ERROR):
        first.detach().release(SUCCESS)
    assert "ZeroDivisionError" in caplog.text
    assert isinstance(turns.came[0], Attempt)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException])
async def test_whatever_a_call_raises_at_its_turn_the_turns_after_it_come(
    kind: type[BaseException],
    executor: ModelRequestExecutor,
    bench: RequestBench,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, turns = fill(executor, bench), Turns()
    protected: list[bool] = []

    def raising(_: Any) -> None:
        protected.append(trio.lowlevel.currently_ki_protected())
        raise kind

    for on_turn in (raising, turns, raising, turns):
        wait(executor, on_turn)
    executor.register(CHAT.provider_name, CHAT.model_id, cap=5)  # all at once, in a step of nobody who waits
    assert len(turns.came) == 2
    assert protected == [True, True]  # so a real Ctrl+C is not among what is caught here
    assert kind.__name__ in caplog.text
    for attempt in (first, *turns.came):
        assert isinstance(attempt, Attempt)
        attempt.detach().release(SUCCESS)
    assert executor.leases == (5, 5)


async def test_of_several_resources_the_first_turn_counts_and_the_other_lines_are_left(
    executor: ModelRequestExecutor, bench: RequestBench, autojump_clock: MockClock
) -> None:
    for name in ("east", "west"):
        executor.register(name, "m", cap=1)
    turns = Turns()
    both = ["east/m", "west/m"]
    out = [executor.ask(both, print), executor.ask(both, print)]
    assert isinstance(executor.ask(both, turns), WaitingAttempt)
    for attempt in reversed(out):
        assert isinstance(attempt, Attempt)
        attempt.detach().release(SUCCESS)
    (came,) = turns.came
    assert isinstance(came, Attempt)
    assert came.lease.item.resource.provider_name == "west"
    came.detach().release(SUCCESS)
    await wait_all_tasks_blocked()
    assert bench.controller.queue_view.queued_total == 0
    issued, returned = executor.leases
    assert issued == returned


async def test_where_new_calls_are_held_it_is_refused_with_the_moment(
    executor: ModelRequestExecutor, bench: RequestBench, autojump_clock: MockClock
) -> None:
    at_once(executor).detach().release(error=TOO_MANY_FILES)
    with pytest.raises(RequestAdmissionError) as caught:
        executor.ask(CHAT, print)
    assert caught.value.denied.retry_after_seconds


async def test_a_callback_must_be_one(executor: ModelRequestExecutor, autojump_clock: MockClock) -> None:
    with pytest.raises(ConfigError, match=r"^on_turn must be a function"):
        executor.ask(CHAT, None)  # type: ignore[arg-type]


async def test_an_end_that_is_said_later_counts_until_it_was(
    executor: ModelRequestExecutor, bench: RequestBench, autojump_clock: MockClock
) -> None:
    attempt, began = at_once(executor), trio.current_time()
    await trio.sleep(3)
    end = attempt.detach()
    for moment in (began - 1, began + 3.5, "soon"):
        with pytest.raises(ConfigError, match=r"^ended_at must be a moment of th"):
            end.release(ended_at=moment)  # type: ignore[arg-type]
    assert end.release(ended_at=began + 2)
    assert [outcome.elapsed for outcome in bench.limiters[CHAT].outcomes] == [2]
