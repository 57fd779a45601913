"""A worker between its streams: what runs when, and what is answered. In virtual time."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import Denied
from penstock_worker.answers import RetryableError
from penstock_worker.handlers import Handlers

Worker = Any
"""The fixture of that name, `StartWorker` in `conftest.py`."""


async def test_three_tasks_of_half_a_second_with_eight_workers_end_together(
    worker: Worker, autojump_clock: MockClock, slow: Handlers
) -> None:
    async with worker(slow, 8) as worked:
        begun = trio.current_time()
        for name in ("a", "b", "c"):
            await worked.send(name, 0.5)
        outcomes = await worked.answers("a", "b", "c")

    assert [outcome.at - begun for outcome in outcomes] == [0.5, 0.5, 0.5]


async def test_no_more_tasks_run_than_there_are_workers(
    worker: Worker, autojump_clock: MockClock, slow: Handlers
) -> None:
    async with worker(slow, 2, {"scheduler": {"submission_capacity": 64}}) as worked:
        begun = trio.current_time()
        for name in ("a", "b", "c", "d"):
            await worked.send(name, 0.5)
        outcomes = await worked.answers("a", "b", "c", "d")

    assert sorted(outcome.at - begun for outcome in outcomes) == [0.5, 0.5, 1.0, 1.0]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"plugins": {"ready_queue": "fair"}, "worker": {"weights": {"b": 1000.0}}},
        {"scheduler": {"submission_capacity": 64, "admitted_limits": {"local/a": 1}}},
    ],
)
async def test_one_worker_does_one_after_another_in_the_order_in_which_they_came(
    worker: Worker, autojump_clock: MockClock, slow: Handlers, config: dict[str, Any]
) -> None:
    names = [f"{queue}{number}" for number in range(5) for queue in "aab"]
    async with worker(slow, 1, config) as worked:
        begun = trio.current_time()
        await worked.send_raw(
            b"".join(worked.parent.line(f"{name}-{at}", 1.0, queue=name[0]) for at, name in enumerate(names))
        )

    assert list(worked.parent.outcomes) == [f"{name}-{at}" for at, name in enumerate(names)]
    assert [outcome.at - begun for outcome in worked.parent.outcomes.values()] == [1.0 + at for at in range(15)]


async def test_queues_share_the_workers_by_their_weights(
    worker: Worker, autojump_clock: MockClock, slow: Handlers
) -> None:
    config = {"worker": {"weights": {"heavy": 3.0}}}
    async with worker(slow, 4, config) as worked:
        lines = [worked.parent.line(f"{queue}{n}", 1.0, queue=queue) for queue in ("light", "heavy") for n in range(40)]
        await worked.send_raw(b"".join(lines))
    first = [name for name, outcome in worked.parent.outcomes.items()][:40]

    assert 28 <= sum(name.startswith("heavy") for name in first) <= 32


async def test_a_task_takes_what_it_needs(worker: Worker, autojump_clock: MockClock, handlers: Handlers) -> None:
    @handlers.task(name="demo", needs={"gpu": 1})
    async def on_the_gpu(payload: Any, context: Any) -> None:
        await trio.sleep(1.0)

    async with worker(handlers, 8, {"scheduler": {"resources": {"gpu": 2}}}) as worked:
        begun = trio.current_time()
        for name in ("a", "b", "c"):
            await worked.send(name)
        outcomes = await worked.answers("a", "b", "c")

    assert sorted(outcome.at - begun for outcome in outcomes) == [1.0, 1.0, 2.0]


async def test_calls_of_a_task_pass_the_request_gate(
    worker: Worker, autojump_clock: MockClock, handlers: Handlers
) -> None:
    @handlers.task
    async def call(payload: Any, context: Any) -> None:
        async with penstock.request("acme/small"):
            await trio.sleep(1.0)

    models = {"small": {"max_parallel_requests": 1}}
    async with worker(handlers, 8, {"providers": {"acme": {"models": models}}}) as worked:
        begun = trio.current_time()
        for name in ("a", "b", "c"):
            await worked.send(name)
        outcomes = await worked.answers("a", "b", "c")

    assert sorted(outcome.at - begun for outcome in outcomes) == [1.0, 2.0, 3.0]


class Closed:
    """A rule by which nothing of the queue `q.closed` ever starts."""

    @penstock.hookimpl
    def penstock_task_eligible(self, task: Any) -> Denied | None:
        closed = "q.closed" in str(task.group.key)
        return Denied("policy_denial", {penstock.NEVER}, detail="closed for good") if closed else None


async def test_a_task_that_a_rule_refuses_for_good_is_answered_with_its_words(
    worker: Worker, autojump_clock: MockClock, slow: Handlers
) -> None:
    async with worker(slow, 1, plugins=(Closed(),)) as worked:
        await worked.send("a", 0.0, queue="q.closed")
        await worked.send("b", 0.0)
        refused, done = await worked.answers("a", "b")

    assert "closed for good" in refused.value
    assert done.kind == "success"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no"), "ValueError: no"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (
            BaseExceptionGroup("all", [KeyboardInterrupt()]),
            "BaseExceptionGroup: all (1 sub-exception); KeyboardInterrupt",
        ),
        (RetryableError("later"), "RetryableError: later"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
async def test_whatever_a_task_raises_is_its_answer_and_ends_nothing_else(
    worker: Worker, autojump_clock: MockClock, handlers: Handlers, error: BaseException, words: str
) -> None:
    @handlers.task
    async def raises(payload: bool, context: Any) -> str:
        if payload:
            raise error
        return "fine"

    async with worker(handlers, 2) as worked:
        await worked.send("a", True)
        await worked.send("b", False)
        failed, done = await worked.answers("a", "b")

    assert (failed.kind, failed.value) == ("failure", words)
    assert done.value == "fine"
    assert worked.exit_code == 0


async def test_a_cancellation_that_a_task_makes_up_is_its_failure(
    worker: Worker, autojump_clock: MockClock, handlers: Handlers
) -> None:
    caught: list[BaseException] = []

    @handlers.task
    async def raises(payload: Any, context: Any) -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as error:
                caught.append(error)
        raise caught.pop()

    async with worker(handlers) as worked:
        await worked.send("a")
        (failed,) = await worked.answers("a")

    assert failed.kind == "failure"
    assert worked.exit_code == 0


async def test_a_task_is_answered_at_its_time_limit_and_its_place_is_free(
    worker: Worker, autojump_clock: MockClock, handlers: Handlers
) -> None:
    @handlers.task(name="short", time_limit=2.0)
    async def short(payload: Any, context: Any) -> None:
        await trio.sleep_forever()

    @handlers.task
    async def plain(payload: Any, context: Any) -> None:
        await trio.sleep_forever()

    async with worker(handlers, 1, {"worker": {"time_limit": 3.0}}) as worked:
        begun = trio.current_time()
        await worked.send("a", kind="short")
        await worked.send("b")
        outcomes = await worked.answers("a", "b")

    assert [(outcome.kind, outcome.at - begun) for outcome in outcomes] == [("failure", 2.0), ("failure", 5.0)]
    assert "time limit of 2 s" in outcomes[0].value


async def test_bad_lines_are_answered_where_they_have_an_id_and_hold_nothing_up(
    worker: Worker, autojump_clock: MockClock, slow: Handlers
) -> None:
    async with worker(slow) as worked:
        worked.parent.pending |= {"bad", "half"}
        await worked.send_raw(b'hello\n\n\r\n{"task_id":"bad",\n')
        await worked.send("good", 0.0)
        await worked.send_raw(b'{"task_id":"half","pay')
    kinds = {name: outcome.kind for name, outcome in worked.parent.outcomes.items()}

    assert kinds == {"bad": "failure", "good": "success", "half": "failure"}
    assert worked.parent.warnings == []


async def test_a_task_of_an_unknown_type_is_answered(
    worker: Worker, autojump_clock: MockClock, handlers: Handlers
) -> None:
    handlers.task(name="embed")(lambda payload: payload)

    async with worker(handlers) as worked:
        await worked.send("a", kind="embde")
        (outcome,) = await worked.answers("a")

    assert "did you mean 'embed'?" in outcome.value


async def test_a_task_that_comes_again_while_it_is_in_flight_runs_once(
    worker: Worker, autojump_clock: MockClock, slow: Handlers
) -> None:
    async with worker(slow, 4) as worked:
        await worked.send("a", 1.0)
        await worked.send("a", 1.0)
        await worked.send("b", 0.5)

    assert {name: outcome.kind for name, outcome in worked.parent.outcomes.items()} == {"a": "success", "b": "success"}
    assert worked.parent.warnings == []


async def test_two_tasks_of_one_id_are_both_answered(worker: Worker, autojump_clock: MockClock, slow: Handlers) -> None:
    async with worker(slow, 4) as worked:
        await worked.send("a", 1.0)
        await worked.send("a", 2.0)

    assert worked.parent.outcomes["a"].value == 1.0
    assert len(worked.parent.warnings) == 1, "the parent drops the second answer"


async def test_an_id_may_come_again_once_it_is_answered(
    worker: Worker, autojump_clock: MockClock, slow: Handlers
) -> None:
    async with worker(slow, 4) as worked:
        for _ in range(2):
            await worked.send("a", 1.0)
            await worked.until(lambda parent: not parent.pending)

    assert worked.parent.warnings == []


async def test_while_the_parent_does_not_read_no_more_tasks_begin(
    worker: Worker, autojump_clock: MockClock, handlers: Handlers
) -> None:
    begun: list[str] = []

    @handlers.task
    async def large(payload: str, context: Any) -> str:
        begun.append(payload)
        return "x" * 6_000_000

    async with worker(handlers, 2) as worked:
        await worked.until(lambda parent: parent.status == "ready")
        resume = worked.pause_reading()
        for number in range(12):
            await worked.send(str(number), str(number))
        await trio.sleep(60.0)
        held = len(begun)
        resume()
        await worked.answers(*map(str, range(12)))

    assert held <= 5, "what is held is bounded, by 16 MB and one answer for each worker"
    assert len(begun) == 12


async def test_while_the_parent_does_not_read_bad_lines_are_not_read_either(
    worker: Worker, autojump_clock: MockClock, slow: Handlers
) -> None:
    async with worker(slow) as worked:
        await worked.until(lambda parent: parent.status == "ready")
        resume = worked.pause_reading()
        for number in range(30):
            await worked.send_raw(worked.parent.line(f"{number:02}" * 500_000)[:-2] + b"\n")
        await trio.sleep(60.0)
        worked.signal()
        resume()

    assert 16 <= len(worked.parent.outcomes) <= 17, "what is held is bounded by 16 MB"
    assert worked.exit_code == 0


async def test_what_is_read_and_not_answered_is_bounded(
    worker: Worker, autojump_clock: MockClock, slow: Handlers
) -> None:
    async with worker(slow, 1, {"worker": {"backlog": 3}}) as worked:
        await worked.send_raw(b"".join(worked.parent.line(str(number), 1.0) for number in range(10)))
        await worked.send("late", 1.0)
        await trio.sleep(1.5)
        worked.signal()
    started = [name for name, outcome in worked.parent.outcomes.items() if outcome.kind == "success"]

    assert started == ["0", "1"]
    assert len(worked.parent.pending) == 7, "the lines that were never read"


async def test_run_once_does_one_task(worker: Worker, autojump_clock: MockClock, slow: Handlers) -> None:
    async with worker(slow, once=True) as worked:
        await worked.send_raw(b"noise\n\n")
        await worked.send_raw(worked.parent.line("a", 1.0) + worked.parent.line("b", 1.0))
        await worked.exit()

    assert list(worked.parent.outcomes) == ["a"]
    assert worked.exit_code == 0


async def test_the_worker_is_ready_when_an_async_load_is_done_and_tasks_share_what_it_returned(
    worker: Worker, autojump_clock: MockClock, handlers: Handlers
) -> None:
    @handlers.load
    async def load() -> dict[str, int]:
        await trio.sleep(5.0)
        return {"model": 7}

    @handlers.task
    async def use(payload: Any, context: dict[str, int]) -> int:
        return context["model"]

    async with worker(handlers) as worked:
        await worked.send("a")
        await worked.until(lambda parent: parent.status is not None)
        assert trio.current_time() >= 5.0
        (outcome,) = await worked.answers("a")

    assert (worked.parent.status, outcome.value) == ("ready", 7)


@pytest.mark.parametrize("error", [RuntimeError("no model"), SystemExit(1), KeyboardInterrupt()])
async def test_a_load_that_fails_aborts_the_start(
    worker: Worker, autojump_clock: MockClock, slow: Handlers, error: BaseException
) -> None:
    @slow.load
    async def load() -> None:
        raise error

    async with worker(slow) as worked:
        begun = trio.current_time()

    assert (worked.parent.status, worked.exit_code) == ("error", 1)
    assert type(error).__name__ in (worked.parent.start_error or "")
    assert worked.exited_at - begun >= 0.5


async def test_a_configuration_that_cannot_be_used_aborts_the_start(
    worker: Worker, autojump_clock: MockClock, slow: Handlers
) -> None:
    async with worker(slow, 1, {"plugins": {"task_policies": ["strct-fair"]}}) as worked:
        pass

    assert (worked.parent.status, worked.exit_code) == ("error", 2)
    assert "strict-fair" in (worked.parent.start_error or "")
