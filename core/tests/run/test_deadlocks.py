"""Tasks and calls that wait for each other: told where it is certain, and never where it is not; in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import Scheduler, StallError, TaskSpec

Step = Callable[[], Awaitable[Any]]


def config(cap: int = 1, places: int = 4) -> dict[str, Any]:
    return {
        "scheduler": {"submission_capacity": places, "resources": {"gpu": 1}},
        "providers": {"acme": {"models": {name: {"max_parallel_requests": cap} for name in ("m", "n")}}},
        "plugins": {"request_limiters": [], "sinks": []},
    }


async def nothing() -> str:
    return "done"


async def call(model: str) -> None:
    async with penstock.request(model):
        await trio.lowlevel.checkpoint()


async def call_in_a_call() -> str:
    async with penstock.request("acme/m"), penstock.request("acme/m"):
        return "both"


def chain_of(error: BaseException | None) -> tuple[str, ...]:
    assert isinstance(error, StallError), error
    return error.chain


def only(error: BaseException | None) -> BaseException:
    assert isinstance(error, ExceptionGroup), error
    (inner,) = error.exceptions
    return inner


# -- certain


async def test_a_call_inside_a_call_at_cap_1_is_told_to_its_task_and_the_run_goes_on(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(config()) as scheduler:
        handle = scheduler.start_soon(call_in_a_call, task_id="nested")
        await handle.wait()
        assert chain_of(handle.error) == ("task 'nested' waits for a place of acme/m/chat, held by itself",)
        async with penstock.request("acme/m"):
            assert await scheduler.start_soon(nothing) == "done"
        scheduler.check_invariants()
    assert trio.current_time() == 0.0
    assert scheduler.report is not None
    assert scheduler.report.request_leases == (2, 2)


async def test_a_call_inside_a_call_in_the_runs_block_is_told_to_it(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(config()):
        with pytest.raises(StallError, match="the run's block waits for a place of acme/m/chat, held by itself"):
            await call_in_a_call()
    assert trio.current_time() == 0.0


async def graph_in_which_the_first_awaits_the_last(between: int, deadline: float | None = None) -> BaseException | None:
    """How the first of a chain of tasks ends that awaits the last one; `deadline` is that of the one after it."""
    handles: dict[str, penstock.TaskHandle[Any]] = {}

    async def awaits_the_last() -> None:
        await handles["last"]

    names = [f"t{number}" for number in range(between)]
    specs = [TaskSpec(task_id="first", fn=awaits_the_last)]
    for name in (*names, "last"):
        given_up = deadline if name == "t0" else None
        specs.append(TaskSpec(task_id=name, fn=nothing, after=[specs[-1].task_id], deadline=given_up))
    async with penstock.open_scheduler(config()) as scheduler:
        handles |= scheduler.add(specs)
        for handle in handles.values():
            await handle.wait()
        assert all(handle.error is not None for handle in handles.values())
    return handles["first"].error


@pytest.mark.parametrize("between", [0, 1, 20])
async def test_a_task_that_awaits_one_which_comes_after_it_is_told(autojump_clock: MockClock, between: int) -> None:
    (line,) = chain_of(await graph_in_which_the_first_awaits_the_last(between))
    assert line == "task 'first' waits for task 'last', which comes after task 'first', carried out by itself"
    assert trio.current_time() == 0.0


async def test_a_task_between_that_may_be_given_up_is_a_way_out(autojump_clock: MockClock) -> None:
    error = await graph_in_which_the_first_awaits_the_last(2, deadline=5.0)
    assert isinstance(error, penstock.TaskDropped)
    assert trio.current_time() == 5.0


async def test_two_tasks_that_hold_what_the_other_wants_end_for_the_later_one(autojump_clock: MockClock) -> None:
    async def both(first: str, second: str) -> str:
        async with penstock.request(f"acme/{first}"):
            await trio.sleep(1)
            async with penstock.request(f"acme/{second}"):
                return "both"

    async with penstock.open_scheduler(config()) as scheduler:
        early = scheduler.start_soon(both, "m", "n", task_id="early")
        await trio.sleep(0.5)
        late = scheduler.start_soon(both, "n", "m", task_id="late")
        assert await early == "both"
        await late.wait()
        assert chain_of(late.error) == (
            "task 'late' waits for a place of acme/m/chat, held by task 'early'",
            "task 'early' waits for a place of acme/n/chat, held by task 'late'",
        )
    assert trio.current_time() == 1.5


async def test_tasks_that_await_tasks_of_their_own_while_submission_is_full(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(config(places=2)) as scheduler:

        async def parent(name: str) -> str:
            await trio.sleep(1)
            return await scheduler.start_soon(nothing, task_id=f"child of {name}")

        parents = [scheduler.start_soon(parent, name, task_id=name) for name in ("a", "b")]
        for handle in parents:
            await handle.wait()
        failed = [handle for handle in parents if handle.error is not None]
        assert len(failed) == 1, "with the place of one the other goes on"
        line = chain_of(failed[0].error)[0]
        assert f"task {failed[0].task_id!r} waits for task 'child of {failed[0].task_id}', which cannot start" in line
        assert "submission is held by task" in line
    assert trio.current_time() == 1.0


async def test_the_same_through_map(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(config(places=1)) as scheduler:

        async def parent() -> None:
            async def of(_: int) -> str:
                return await nothing()

            async with scheduler.map(of, range(40)) as results:
                async for _ in results:
                    pass

        handle = scheduler.start_soon(parent, task_id="maps")
        await handle.wait()
        assert "task 'maps' waits for task" in chain_of(handle.error)[0]
    assert trio.current_time() == 0.0


async def test_a_task_that_awaits_its_own_handle_is_told_at_once(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(config()) as scheduler:
        own: list[penstock.TaskHandle[None]] = []

        async def narcissus() -> None:
            await own[0]

        own.append(scheduler.start_soon(narcissus, task_id="narcissus"))
        await own[0].wait()
        assert chain_of(own[0].error) == ("task 'narcissus' waits for its own end",)


async def test_two_tasks_that_await_each_other(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(config()) as scheduler:
        handles: dict[str, penstock.TaskHandle[str]] = {}

        async def wait_for(name: str, seconds: float) -> str:
            await trio.sleep(seconds)
            await handles[name].wait()
            return "done"

        handles["a"] = scheduler.start_soon(wait_for, "b", 1, task_id="a")
        handles["b"] = scheduler.start_soon(wait_for, "a", 2, task_id="b")
        assert await handles["a"] == "done"
        assert chain_of(handles["b"].error) == (
            "task 'b' waits for task 'a', carried out by task 'a'",
            "task 'a' waits for task 'b', carried out by task 'b'",
        )
    assert trio.current_time() == 2.0


async def test_a_circle_over_both_gates(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(config()) as scheduler:

        async def child() -> str:
            async with penstock.request("acme/m"):
                return "called"

        async def parent() -> str:
            async with penstock.request("acme/m"):
                return await scheduler.start_soon(child, task_id="child")

        handle = scheduler.start_soon(parent, task_id="parent")
        await handle.wait()
        assert chain_of(handle.error)
    assert trio.current_time() == 0.0


async def test_who_only_waits_for_one_of_them_is_not_the_one_who_is_told(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(config()) as scheduler:
        nested = scheduler.start_soon(call_in_a_call, task_id="nested")

        async def bystander() -> str:
            await nested.wait()
            return "done"

        assert await scheduler.start_soon(bystander) == "done"
        assert isinstance(nested.error, StallError)


async def test_what_a_deadlock_needs_may_be_a_typed_resource(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(config(places=4)) as scheduler:

        async def parent(needs: dict[str, int]) -> str:
            return await scheduler.start_soon(nothing, task_id=f"child-{len(needs)}", needs=needs)

        assert await scheduler.start_soon(parent, {}, needs={"gpu": 1}) == "done"
        handle = scheduler.start_soon(parent, {"gpu": 1}, task_id="parent", needs={"gpu": 1})
        await handle.wait()
        line = "task 'parent' waits for task 'child-1', which cannot start: gpu is held by itself"
        assert chain_of(handle.error) == (line,)


# -- certain, in a nursery


async def test_a_call_in_a_nursery_inside_the_block_of_its_lease(autojump_clock: MockClock) -> None:
    async def fan_out() -> None:
        async with penstock.request("acme/m"), trio.open_nursery() as nursery:
            nursery.start_soon(call, "acme/m", name="the call")

    async with penstock.open_scheduler(config()) as scheduler:
        handle = scheduler.start_soon(fan_out, task_id="fan-out")
        await handle.wait()
        assert chain_of(only(handle.error)) == (
            "trio task 'the call' of task 'fan-out' waits for a place of acme/m/chat, held by task 'fan-out'",
            "task 'fan-out' waits for the end of trio task 'the call' of task 'fan-out'",
        )
        scheduler.check_invariants()
    assert trio.current_time() == 0.0


async def test_a_call_in_a_nursery_in_a_nursery(autojump_clock: MockClock) -> None:
    async def deeper() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, "acme/m")

    async with penstock.open_scheduler(config()):
        with pytest.raises(ExceptionGroup) as raised:
            async with penstock.request("acme/m"), trio.open_nursery() as nursery:
                nursery.start_soon(deeper)
        assert "of the run's block waits for a place of acme/m/chat" in chain_of(only(only(raised.value)))[0]
    assert trio.current_time() == 0.0


async def test_a_handle_awaited_in_a_nursery_that_cannot_start(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(config(places=1)) as scheduler:

        async def parent() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(scheduler.start_soon(nothing, task_id="child").wait)

        handle = scheduler.start_soon(parent, task_id="parent")
        await handle.wait()
        assert "waits for task 'child', which cannot start: submission is held by task 'parent'" in " ".join(
            chain_of(only(handle.error))
        )
    assert trio.current_time() == 0.0


async def test_it_becomes_certain_when_the_last_one_beside_it_ends(autojump_clock: MockClock) -> None:
    async def fan_out() -> None:
        async with penstock.request("acme/m"), trio.open_nursery() as nursery:
            nursery.start_soon(call, "acme/m")
            nursery.start_soon(trio.sleep, 7)

    async with penstock.open_scheduler(config()) as scheduler:
        handle = scheduler.start_soon(fan_out, task_id="fan-out")
        await trio.sleep(1)
        assert any("task 'fan-out'" in line for line in scheduler.explanation().perhaps_deadlock)
        await handle.wait()
        assert chain_of(only(handle.error))
    assert trio.current_time() == 7.0


async def test_it_becomes_certain_when_who_opened_the_nursery_waits_for_its_end(autojump_clock: MockClock) -> None:
    async def fan_out() -> None:
        async with penstock.request("acme/m"), trio.open_nursery() as nursery:
            nursery.start_soon(call, "acme/m")
            await trio.sleep(7)

    async with penstock.open_scheduler(config()) as scheduler:
        handle = scheduler.start_soon(fan_out, task_id="fan-out")
        await handle.wait()
        assert chain_of(only(handle.error))
    assert trio.current_time() == 7.0


async def test_a_wait_of_its_own_becomes_certain_when_the_timer_beside_it_has_ended(autojump_clock: MockClock) -> None:
    async def nested() -> None:
        async with penstock.request("acme/m"), trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 7)
            await call("acme/m")

    async with penstock.open_scheduler(config()) as scheduler:
        handle = scheduler.start_soon(nested, task_id="nested")
        await handle.wait()
        assert chain_of(only(handle.error)) == ("task 'nested' waits for a place of acme/m/chat, held by itself",)
    assert trio.current_time() == 7.0


# -- no false alarm


async def test_who_runs_beside_it_in_the_nursery_may_cancel_it(autojump_clock: MockClock) -> None:
    async def fan_out() -> str:
        async with penstock.request("acme/m"), trio.open_nursery() as nursery:

            async def timer() -> None:
                await trio.sleep(7)
                nursery.cancel_scope.cancel()

            nursery.start_soon(call, "acme/m")
            nursery.start_soon(timer)
        return "let go"

    async with penstock.open_scheduler(config()) as scheduler:
        assert await ends_with(scheduler, fan_out) == ["let go"]
    assert trio.current_time() == 7.0


async def test_who_runs_beside_one_that_waits_for_itself_may_cancel_it(autojump_clock: MockClock) -> None:
    async def fan_out() -> str:
        async with trio.open_nursery() as nursery:

            async def timer() -> None:
                await trio.sleep(7)
                nursery.cancel_scope.cancel()

            nursery.start_soon(call_in_a_call)
            nursery.start_soon(timer)
        return "let go"

    async with penstock.open_scheduler(config()) as scheduler:
        assert await ends_with(scheduler, fan_out) == ["let go"]
    assert trio.current_time() == 7.0


async def test_who_opened_the_nursery_may_cancel_it(autojump_clock: MockClock) -> None:
    async def fan_out() -> str:
        async with penstock.request("acme/m"), trio.open_nursery() as nursery:
            nursery.start_soon(call, "acme/m")
            await trio.sleep(7)
            nursery.cancel_scope.cancel()
        return "let go"

    async with penstock.open_scheduler(config()) as scheduler:
        assert await ends_with(scheduler, fan_out) == ["let go"]
    assert trio.current_time() == 7.0


async def test_a_deadline_around_the_nursery_ends_the_wait(autojump_clock: MockClock) -> None:
    async def fan_out() -> str:
        async with penstock.request("acme/m"):
            with trio.move_on_after(7):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(call, "acme/m")
        return "moved on"

    async with penstock.open_scheduler(config()) as scheduler:
        assert await ends_with(scheduler, fan_out) == ["moved on"]
    assert trio.current_time() == 7.0


async def test_calls_in_a_nursery_that_take_turns(autojump_clock: MockClock) -> None:
    async def fan_out() -> str:
        async with penstock.request("acme/n"), trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(call, "acme/m")
        return "done"

    async with penstock.open_scheduler(config()) as scheduler:
        assert await ends_with(scheduler, fan_out) == ["done"]


async def ends_with(scheduler: Scheduler, *steps: Step) -> list[Any]:
    handles = [scheduler.start_soon(step) for step in steps]
    return [await handle for handle in handles]


async def test_a_call_inside_a_call_at_cap_2_is_none(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(config(cap=2)) as scheduler:
        assert await ends_with(scheduler, call_in_a_call) == ["both"]


async def test_a_place_that_a_sleeping_task_holds_comes_free(autojump_clock: MockClock) -> None:
    async def sleeps() -> str:
        async with penstock.request("acme/m"):
            await trio.sleep(5)
        return "slept"

    async with penstock.open_scheduler(config(cap=2)) as scheduler:
        assert await ends_with(scheduler, sleeps, call_in_a_call) == ["slept", "both"]
    assert trio.current_time() == 5.0


async def test_a_task_that_awaits_a_handle_while_another_place_is_free(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(config(places=2)) as scheduler:

        async def parent() -> str:
            return await scheduler.start_soon(nothing)

        assert await ends_with(scheduler, parent) == ["done"]


async def test_a_task_that_awaits_a_handle_while_another_place_comes_free(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(config(places=2)) as scheduler:

        async def parent() -> str:
            return await scheduler.start_soon(nothing)

        async def sleeps() -> str:
            await trio.sleep(5)
            return "slept"

        assert await ends_with(scheduler, parent, sleeps) == ["done", "slept"]
    assert trio.current_time() == 5.0


async def test_a_wait_with_a_timeout_or_a_deadline_ends_by_itself(autojump_clock: MockClock) -> None:
    async def with_timeout() -> str:
        async with penstock.request("acme/m"):
            try:
                async with penstock.request("acme/m", timeout=3):
                    return "both"
            except penstock.RequestAdmissionError as error:
                return error.reason

    async def with_deadline() -> str:
        async with penstock.request("acme/n"):
            with trio.move_on_after(4):
                async with penstock.request("acme/n"):
                    return "both"
        return "moved on"

    async with penstock.open_scheduler(config()) as scheduler:
        assert await ends_with(scheduler, with_timeout, with_deadline) == ["queue_timeout", "moved on"]
    assert trio.current_time() == 4.0


async def test_who_has_others_in_its_nursery_may_be_let_go_by_them(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(config()) as scheduler:

        async def with_a_timer_of_its_own() -> str:
            async with penstock.request("acme/m"), trio.open_nursery() as nursery:

                async def timer() -> None:
                    await trio.sleep(3)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(timer)
                await call("acme/m")
            return "let go"

        handle = scheduler.start_soon(with_a_timer_of_its_own, task_id="nested")
        await trio.sleep(1)
        told = scheduler.explanation()
        assert told.perhaps_deadlock == ("task 'nested' waits for a place of acme/m/chat, held by itself",)
        assert "perhaps a deadlock:\n  task 'nested' waits for" in scheduler.explain()
        assert await handle == "let go"
        assert scheduler.explanation().perhaps_deadlock == ()


async def test_the_runs_block_may_be_let_go_by_others_in_a_nursery_around_it(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:

        async def timer() -> None:
            await trio.sleep(3)
            nursery.cancel_scope.cancel()

        nursery.start_soon(timer)
        async with penstock.open_scheduler(config()), penstock.request("acme/m"):
            await call("acme/m")
    assert nursery.cancel_scope.cancelled_caught
    assert trio.current_time() == 3.0


async def test_a_lease_whose_end_was_detached_may_come_back_from_anywhere(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(config()) as scheduler, trio.open_nursery() as nursery:

        async def reads_the_body_later() -> str:
            async with penstock.request("acme/m") as attempt:
                detached = attempt.detach()

                async def read() -> None:
                    await trio.sleep(2)
                    detached.release()

                nursery.start_soon(read)
                async with penstock.request("acme/m"):
                    return "both"

        assert await ends_with(scheduler, reads_the_body_later) == ["both"]
    assert trio.current_time() == 2.0


async def test_a_task_that_is_given_up_at_its_deadline_is_a_way_out(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(config(places=1)) as scheduler:

        async def parent() -> str:
            try:
                return await scheduler.start_soon(nothing, deadline=5.0)
            except penstock.TaskDropped:
                return "not waited for any more"

        assert await ends_with(scheduler, parent) == ["not waited for any more"]
    assert trio.current_time() == 5.0


async def test_tasks_that_come_after_others_or_after_a_moment_may_start(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(config(places=2)) as scheduler:

        async def sleeps() -> str:
            await trio.sleep(5)
            return "slept"

        async def parent() -> str:
            await scheduler.add([TaskSpec(task_id="last", fn=nothing, after=("first",))])["last"]
            return "done"

        scheduler.start_soon(sleeps, task_id="first")
        assert await ends_with(scheduler, parent) == ["done"]


async def test_tasks_that_become_ready_when_all_places_are_held_by_those_who_wait_for_them(
    autojump_clock: MockClock,
) -> None:
    """Until the barrier is sealed nobody knows that it will find no place."""
    async with penstock.open_scheduler({"scheduler": {"submission_capacity": 1}}) as scheduler:
        gathered = scheduler.add([TaskSpec(task_id="gather", fn=trio.lowlevel.checkpoint, barrier=True)])["gather"]

        async def waits() -> None:
            with pytest.raises(StallError, match="gather"):
                await gathered
            assert trio.current_time() == 5.0
            told.set()

        told = trio.Event()
        scheduler.start_soon(waits)
        await trio.sleep(5)
        scheduler.seal("gather")
        with trio.fail_after(100):
            await told.wait()  # and nobody begins to wait for a task by then
