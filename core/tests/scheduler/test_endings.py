"""How tasks end: results, failures, retries, and what the holder of a handle is told; in virtual time."""

from __future__ import annotations

import gc
import weakref

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from penstock import ConfigError, FailureMark, TaskCancelled, TaskDropped, TaskHandle, TaskSpec, mark_failure
from penstock.testing import open_rig


async def nothing() -> None:
    return None


class Flaky:
    """Fails so many times, each time with what `make` gives, and notes when it was tried."""

    def __init__(self, failures: int, kind: str | None = None, error: type[Exception] = ValueError) -> None:
        self.failures, self.kind, self.error = failures, kind, error
        self.tried: list[float] = []

    async def __call__(self) -> str:
        self.tried.append(trio.current_time())
        await trio.sleep(0)
        if len(self.tried) <= self.failures:
            error = self.error(f"try {len(self.tried)}")
            if self.kind is not None:
                mark_failure(error, FailureMark(self.kind, retryable=True))
            raise error
        return f"on try {len(self.tried)}"

    def pauses(self) -> list[float]:
        return [later - sooner for sooner, later in zip(self.tried, self.tried[1:], strict=False)]


async def test_awaiting_a_handle_gives_the_result_or_raises_the_exception(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        good, bad = rig.scheduler.start_soon(Flaky(0)), rig.scheduler.start_soon(Flaky(1))
        assert await good == "on try 1"
        with pytest.raises(ValueError, match="try 1"):
            await bad
        assert await good == "on try 1", "again, and at once"
        assert (good.status, bad.status) == ("completed", "failed")
        assert isinstance(bad.error, ValueError)
        assert rig.scheduler.endings.unseen_failures() == []


async def test_a_failure_about_which_nobody_asked_is_kept_for_the_end(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        seen, unseen, given_up = (rig.scheduler.start_soon(Flaky(1)) for _ in range(3))
        with trio.move_on_after(0):
            await given_up
        await seen.wait()
        assert isinstance(seen.error, ValueError)
        await unseen.wait()
    failures = rig.scheduler.endings.unseen_failures()
    assert len(failures) == 2
    assert all(any(failure is handle.error for failure in failures) for handle in (unseen, given_up))
    assert rig.scheduler.endings.unseen_failures() == []


async def test_a_result_is_not_there_before_the_end(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        handle = rig.scheduler.start_soon(trio.sleep, 1)
        with pytest.raises(RuntimeError, match="has not ended"):
            handle.result()
        assert not handle.done
        assert handle.error is None
        await handle
        with pytest.raises(AssertionError, match="has ended before"):
            handle.settle("completed")


async def test_a_queued_task_is_one_object(autojump_clock: MockClock) -> None:
    async with open_rig(places=1, record_events=False) as rig:
        rig.scheduler.start_soon(trio.sleep, 1)
        rig.scheduler.start_soon(nothing, group="g")
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(100):
            rig.scheduler.start_soon(nothing, group="g")
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        assert rig.scheduler.progress["queued"] == 101
        assert len(gc.get_objects()) - before < 110


@pytest.mark.parametrize("recording", [True, False])
@pytest.mark.parametrize("fails", [0, 1, 2])
async def test_a_handle_keeps_nothing_of_what_its_task_was_given(
    recording: bool, fails: int, autojump_clock: MockClock
) -> None:
    class Given:
        tries = 0

    async def work(given: Given) -> None:
        given.tries += 1
        if given.tries <= fails:
            raise ValueError

    given = Given()
    alive = weakref.ref(given)
    async with open_rig(record_events=recording) as rig:
        handle = rig.scheduler.start_soon(work, given, retry_on=(ValueError,), max_attempts=2)
        del given
        await handle.wait()
    assert (handle.error is None) == (fails < 2)
    if fails < 2:  # otherwise the traceback of the error that is the result has it
        gc.collect()
        assert alive() is None


async def test_callbacks_are_called_when_the_lease_is_back(autojump_clock: MockClock) -> None:
    called: list[tuple[str, int]] = []

    async with open_rig() as rig:

        def callback(handle: TaskHandle[None]) -> None:
            called.append((handle.status, rig.scheduler.admission.in_flight))

        handle = rig.scheduler.start_soon(nothing)
        handle.add_done_callback(callback)
        handle.add_done_callback(callback)
        assert called == []
        await handle
        assert called == [("completed", 0)] * 2
        handle.add_done_callback(callback)
        assert len(called) == 3


async def test_a_callback_that_raises_stops_nobody_and_is_told_at_the_end(autojump_clock: MockClock) -> None:
    called: list[str] = []

    def raises(handle: TaskHandle[None]) -> None:
        raise KeyError(handle.task_id)

    async with open_rig() as rig:
        handles = rig.scheduler.add(
            [
                TaskSpec(task_id="a", fn=Flaky(1)),
                *(TaskSpec(task_id=f"{n}", fn=nothing, after=("a",)) for n in range(3)),
            ]
        )
        for handle in handles.values():
            handle.add_done_callback(raises)
            handle.add_done_callback(lambda handle: called.append(handle.task_id))
        other = rig.scheduler.start_soon(trio.sleep, 5)
        await other
    assert called == ["a", "0", "1", "2"]
    errors = rig.scheduler.endings.unseen_failures()
    assert len(errors) == 4
    assert all(isinstance(error, ExceptionGroup) and isinstance(error.exceptions[0], KeyError) for error in errors)


async def test_a_retryable_failure_waits_its_back_off_without_a_lease(autojump_clock: MockClock) -> None:
    flaky = Flaky(2)
    async with open_rig(places=1, backoff=8.0) as rig:
        handle = rig.scheduler.start_soon(flaky, retry_on=(ValueError,), task_id="it")
        await trio.sleep(1)
        assert handle.status == "waiting"
        assert rig.scheduler.admission.in_flight == 0
        await rig.scheduler.start_soon(nothing)
        assert trio.current_time() == 1.0
        assert await handle == "on try 3"
    assert handle.attempts == 3
    first, second = flaky.pauses()
    assert 4 <= first <= 8
    assert 8 <= second <= 16
    kinds = rig.kinds("it")
    assert kinds.count("retry_deferred") == kinds.count("salvage_redispatched") == 2
    assert kinds.count("dependency_ready") == 1
    assert kinds.count("task_lease_released") == 3


async def test_back_off_is_bounded_and_spread(autojump_clock: MockClock) -> None:
    many = [Flaky(1) for _ in range(20)]
    async with open_rig(places=100, backoff=100.0, longest_backoff=10.0) as rig:
        for flaky in many:
            rig.scheduler.start_soon(flaky, retry_on=(ValueError,))
    pauses = [flaky.pauses()[0] for flaky in many]
    assert all(5 <= pause <= 10 for pause in pauses)
    assert len(set(pauses)) == 20


async def test_attempts_run_out(autojump_clock: MockClock) -> None:
    flaky = Flaky(9)
    async with open_rig() as rig:
        handle = rig.scheduler.start_soon(flaky, retry_on=(ValueError,), max_attempts=3)
        with pytest.raises(ValueError, match="try 3") as raised:
            await handle
    assert raised.value.__notes__ == ["penstock: given up, it failed 3 times, which is all it may"]
    assert handle.status == "failed"


async def test_a_rate_limit_uses_up_no_attempt(autojump_clock: MockClock) -> None:
    flaky = Flaky(10, "rate_limited")
    async with open_rig(longest_backoff=4.0) as rig:
        assert await rig.scheduler.start_soon(flaky, max_attempts=1) == "on try 11"
    assert all(pause <= 4.0 for pause in flaky.pauses())


async def test_a_marked_failure_is_retried_also_when_it_is_wrapped(autojump_clock: MockClock) -> None:
    flaky = Flaky(1, "provider_timeout")

    async def wraps() -> str:
        try:
            return await flaky()
        except ValueError as error:
            raise RuntimeError("it went wrong") from error

    async with open_rig() as rig:
        assert await rig.scheduler.start_soon(wraps) == "on try 2"


async def test_other_failures_are_final(autojump_clock: MockClock) -> None:
    flaky = Flaky(1)
    async with open_rig() as rig:
        with pytest.raises(ValueError, match="try 1"):
            await rig.scheduler.start_soon(flaky, retry_on=(KeyError,))
    assert len(flaky.tried) == 1


async def test_a_deadline_ends_the_retries(autojump_clock: MockClock) -> None:
    for kind in ("rate_limited", "provider_failure"):
        flaky = Flaky(1000, kind)
        async with open_rig(longest_backoff=4.0) as rig:
            deadline = trio.current_time() + 30
            with pytest.raises(ValueError, match="try"):
                await rig.scheduler.start_soon(flaky, deadline=deadline, max_attempts=100)
            assert trio.current_time() <= deadline
        assert len(flaky.tried) > 5


async def test_what_depends_on_a_failure_is_dropped_and_says_why(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        handles = rig.scheduler.add(
            [
                TaskSpec(task_id="c", fn=nothing, after=("b",)),
                TaskSpec(task_id="b", fn=nothing, after=("a",)),
                TaskSpec(task_id="a", fn=Flaky(1)),
            ]
        )
        for name in "cb":
            with pytest.raises(TaskDropped, match="a was not carried out: it failed") as raised:
                await handles[name]
            assert raised.value.__cause__ is handles["a"].error
            assert handles[name].status == "dropped"
        late = rig.scheduler.add([TaskSpec(task_id="late", fn=nothing, after=("b",))])["late"]
        with pytest.raises(TaskDropped):
            await late
        barrier = rig.scheduler.add([TaskSpec(task_id="all", fn=nothing, after=("b",), barrier=True)])["all"]
        with pytest.raises(TaskDropped):
            await barrier
    assert rig.scheduler.progress == {
        "queued": 0, "in_flight": 0, "unfinished": 0,
        "completed": 0, "failed": 1, "dropped": 4, "cancelled": 0, "shutdown": 0,
    }  # fmt: skip


async def test_a_batch_is_taken_on_whole_or_not_at_all(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        rig.scheduler.start_soon(nothing, task_id="there")
        for batch in (
            [TaskSpec(task_id="x", fn=nothing), TaskSpec(task_id="y", fn=nothing, after=("nobody",))],
            [TaskSpec(task_id="x", fn=nothing), TaskSpec(task_id="there", fn=nothing)],
            [TaskSpec(task_id="x", fn=nothing), TaskSpec(task_id="x", fn=nothing)],
            [TaskSpec(task_id="x", fn=nothing, barrier=True), TaskSpec(task_id="x", fn=nothing)],
            [TaskSpec(task_id="x", fn=nothing, after=("y",)), TaskSpec(task_id="y", fn=nothing, after=("x",))],
        ):
            with pytest.raises(ConfigError):
                rig.scheduler.add(batch)
            rig.scheduler.check_invariants()
            assert rig.scheduler.progress["unfinished"] == 1
    with pytest.raises(ConfigError, match="not None"):
        async with open_rig() as rig:
            rig.scheduler.start_soon(None)  # type: ignore[call-overload]


async def test_a_task_that_runs_may_start_others_and_wait_for_them(autojump_clock: MockClock) -> None:
    async with open_rig(places=2) as rig:

        async def parent() -> str:
            child: TaskHandle[str] = rig.scheduler.start_soon(Flaky(0))
            return await child

        assert await rig.scheduler.start_soon(parent) == "on try 1"


async def test_cancelling_one_task_leaves_the_others(autojump_clock: MockClock) -> None:
    async with open_rig(places=2) as rig:
        scheduler = rig.scheduler
        running = scheduler.start_soon(trio.sleep, 10, cancellable=True)
        steady = scheduler.start_soon(trio.sleep, 10)
        queued = scheduler.start_soon(trio.sleep, 1)
        after = scheduler.add([TaskSpec(task_id="after", fn=nothing, after=(queued.task_id,))])["after"]
        await trio.sleep(1)
        for handle in (running, steady, queued):
            scheduler.cancel_task(handle.task_id)
        scheduler.cancel_task("nobody")
        for handle in (running, queued, after):
            with pytest.raises(TaskCancelled):
                await handle
            assert handle.status == "cancelled"
        await steady
        assert trio.current_time() == 10.0
        scheduler.cancel_task(steady.task_id)
        assert steady.status == "completed"


async def test_a_cancellable_task_is_tried_again_like_any_other(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        assert await rig.scheduler.start_soon(Flaky(2), retry_on=(ValueError,), cancellable=True) == "on try 3"
        waiting = rig.scheduler.start_soon(Flaky(2), retry_on=(ValueError,), cancellable=True)
        while waiting.status != "waiting":
            await trio.sleep(0.01)
        rig.scheduler.cancel_task(waiting.task_id)
        with pytest.raises(TaskCancelled):
            await waiting


async def test_a_cancelled_task_that_fails_while_it_cleans_up_is_not_tried_again(autojump_clock: MockClock) -> None:
    async def cleans_up_badly() -> None:
        try:
            await trio.sleep(10)
        finally:
            raise ValueError("in the way")

    async with open_rig() as rig:
        handle = rig.scheduler.start_soon(cleans_up_badly, retry_on=(ValueError,), cancellable=True)
        await trio.sleep(1)
        rig.scheduler.cancel_task(handle.task_id)
        with pytest.raises(TaskCancelled):
            await handle
        assert handle.attempts == 1
