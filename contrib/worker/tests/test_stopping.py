"""How a worker ends: whatever it has read is answered, and no answer is lost by an exit that comes too soon."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import Denied, FifoTaskQueue, Signal
from penstock_worker.handlers import Handlers

Worker = Any
"""The fixture of that name, `StartWorker` in `conftest.py`."""


def kinds(worked: Any) -> dict[str, str]:
    return {name: outcome.kind for name, outcome in worked.parent.outcomes.items()}


@pytest.mark.parametrize("workers", [1, 8])
async def test_at_the_end_of_the_input_everything_that_was_read_is_done(
    worker: Worker, autojump_clock: MockClock, slow: Handlers, workers: int
) -> None:
    async with worker(slow, workers) as worked:
        for number in range(16):
            await worked.send(str(number), 10.0)

    assert kinds(worked) == dict.fromkeys(map(str, range(16)), "success")
    assert worked.exit_code == 0


async def test_no_exit_comes_within_half_a_second_of_the_last_answer(
    worker: Worker, autojump_clock: MockClock, slow: Handlers
) -> None:
    async with worker(slow, 16) as worked:
        for number in range(16):
            await worked.send(str(number), number / 100)
    last = max(outcome.at for outcome in worked.parent.outcomes.values())

    assert len(worked.parent.outcomes) == 16
    assert worked.exited_at - last == pytest.approx(0.5)


async def test_at_a_signal_what_runs_is_finished_and_what_waits_is_answered(
    worker: Worker, autojump_clock: MockClock, slow: Handlers
) -> None:
    async with worker(slow, 1) as worked:
        await worked.send("runs", 7.0)
        await worked.send("waits", 1.0)
        await worked.until(lambda parent: parent.status == "ready")
        await trio.sleep(1.0)
        worked.signal()
        (waits,) = await worked.answers("waits")
        asked = trio.current_time()
        (runs,) = await worked.answers("runs")

    assert (waits.kind, waits.value) == ("failure", "the worker was stopped before the task started")
    assert (runs.kind, runs.at) == ("success", pytest.approx(asked + 6.0))
    assert worked.exit_code == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_after_the_grace_what_still_runs_is_cut_short_and_answered_in_time(
    worker: Worker, autojump_clock: MockClock, slow: Handlers, workers: int
) -> None:
    async with worker(slow, workers) as worked:
        for name in ("a", "b", "c"):
            await worked.send(name, 1000.0)
        await worked.until(lambda parent: parent.status == "ready")
        await trio.sleep(1.0)
        asked = trio.current_time()
        worked.signal()
        await worked.exit()

    assert kinds(worked) == dict.fromkeys("abc", "failure")
    assert worked.parent.outcomes["a"].value == "the worker was stopped before the task was done"
    assert 8.0 <= worked.exited_at - asked <= 9.5, "the parent kills after ten seconds"
    assert worked.exit_code == 0


async def test_a_task_that_refuses_to_be_cancelled_and_raises_is_answered(
    worker: Worker, autojump_clock: MockClock, handlers: Handlers
) -> None:
    @handlers.task
    async def stubborn(payload: Any, context: Any) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise KeyboardInterrupt

    async with worker(handlers) as worked:
        await worked.send("a")
        await worked.until(lambda parent: parent.status == "ready")
        await trio.sleep(1.0)
        worked.signal()

    assert kinds(worked) == {"a": "failure"}
    assert worked.exit_code == 0


async def test_a_second_signal_cuts_the_grace_short(worker: Worker, autojump_clock: MockClock, slow: Handlers) -> None:
    async with worker(slow, 1) as worked:
        await worked.send("a", 1000.0)
        await worked.until(lambda parent: parent.status == "ready")
        await trio.sleep(1.0)
        worked.signal()
        await trio.sleep(1.0)
        asked = trio.current_time()
        worked.signal()

    assert kinds(worked) == {"a": "failure"}
    assert worked.exited_at - asked == pytest.approx(0.5)
    assert worked.exit_code == 0


async def test_a_signal_before_the_worker_is_ready_ends_it(
    worker: Worker, autojump_clock: MockClock, slow: Handlers
) -> None:
    slow.load(trio.sleep_forever)
    async with worker(slow) as worked:
        await trio.sleep(1.0)
        worked.signal()
        await worked.exit()

    assert (worked.parent.status, worked.exit_code) == (None, 0)


async def test_a_signal_at_the_end_of_the_input_bounds_what_is_left(
    worker: Worker, autojump_clock: MockClock, slow: Handlers
) -> None:
    async with worker(slow) as worked:
        await worked.send("a", 1000.0)
        await worked.end_input()
        await trio.sleep(100.0)
        worked.signal()

    assert kinds(worked) == {"a": "failure"}
    assert worked.exit_code == 0


async def test_a_parent_that_reads_no_more_does_not_hold_up_the_end(
    worker: Worker, autojump_clock: MockClock, slow: Handlers
) -> None:
    async with worker(slow, 2) as worked:
        await worked.until(lambda parent: parent.status == "ready")
        worked.pause_reading()
        for name in ("a", "b", "c"):
            await worked.send(name, 1.0)
        await trio.sleep(3.0)
        asked = trio.current_time()
        worked.signal()
        await worked.exit()

    assert worked.exited_at - asked <= 9.5
    assert worked.exit_code == 0


async def test_a_parent_that_is_gone_ends_the_worker_and_what_runs(
    worker: Worker, autojump_clock: MockClock, slow: Handlers
) -> None:
    async with worker(slow, 2) as worked:
        await worked.send("a", 1.0)
        await worked.send("b", 1000.0)
        await worked.until(lambda parent: parent.status == "ready")
        begun = trio.current_time()
        await worked.leave()
        await worked.exit()

    assert worked.exit_code == 1
    assert worked.exited_at - begun <= 2.0


async def test_a_parent_that_leaves_when_all_is_done_is_no_failure(
    worker: Worker, autojump_clock: MockClock, slow: Handlers
) -> None:
    async with worker(slow) as worked:
        await worked.send("a", 1.0)
        await worked.end_input()
        await worked.answers("a")
        await worked.leave()
        assert await worked.exit() == 0


class BrokenQueue(FifoTaskQueue):
    def enqueue(self, *args: Any) -> Any:
        raise RuntimeError("lost its place")


class BreaksTheQueue:
    @penstock.hookimpl
    def penstock_ready_queue(self) -> FifoTaskQueue:
        return BrokenQueue()


async def test_a_plugin_that_takes_the_run_along_leaves_no_task_unanswered(
    worker: Worker, autojump_clock: MockClock, slow: Handlers
) -> None:
    async with worker(slow, 4, plugins=(BreaksTheQueue(),)) as worked:
        await worked.send("a", 1.0)
        await worked.send("b", 1.0)
        await worked.exit()

    assert kinds(worked) == {"a": "failure", "b": "failure"}
    assert worked.exit_code == 1


class Waits:
    """A rule that waits for what never comes."""

    @penstock.hookimpl
    def penstock_task_eligible(self) -> Denied:
        return Denied("policy_denial", {Signal("never")}, detail="waits for never")


@pytest.mark.parametrize("workers", [1, 4])
async def test_at_the_end_of_the_input_what_can_never_start_is_answered(
    worker: Worker, autojump_clock: MockClock, slow: Handlers, workers: int
) -> None:
    async with worker(slow, workers, plugins=(Waits(),)) as worked:
        await worked.send("a", 1.0)
        await worked.send("b", 1.0)

    assert kinds(worked) == {"a": "failure", "b": "failure"}
    assert worked.exit_code == 1
