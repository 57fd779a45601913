"""Waiting for leases under trio: no lease is lost, nobody is forgotten, nothing polls."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from penstock import (
    ConfigError,
    FifoRequestWaiters,
    ModelRequestExecutor,
    PluginError,
    RequestAdmissionDenied,
    RequestAdmissionError,
    RequestAdmissionLease,
    RequestQueueSelection,
    RequestResourceKey,
    RequestWaiter,
    RuntimeEvent,
)
from penstock.requests.outcomes import SUCCESS
from penstock.testing import RequestBench
from penstock.testing.request_bench import CHAT

UNKNOWN = RequestResourceKey("p", "new", "chat")


class Callers:
    """Tasks that acquire, hold and release; who has a lease, and who was refused why."""

    def __init__(self, bench: RequestBench, executor: ModelRequestExecutor, nursery: trio.Nursery) -> None:
        self.bench = bench
        self.executor = executor
        self.nursery = nursery
        self.served: list[str] = []  # those served in one moment run in any order: trio shuffles them
        self.refused: dict[str, str] = {}
        self.go: dict[str, trio.Event] = {}

    async def join(self, name: str, **options: object) -> trio.CancelScope:
        """Start a task that holds its lease until `go[name]` is set; returns when everything has come to rest."""
        scope = trio.CancelScope()
        self.go[name] = trio.Event()
        self.nursery.start_soon(self._task, name, options, scope)
        await wait_all_tasks_blocked()
        return scope

    async def _task(self, name: str, options: dict[str, object], scope: trio.CancelScope) -> None:
        with scope:
            try:
                lease = await self.executor.acquire(self.bench.item(**options))  # type: ignore[arg-type]
            except RequestAdmissionError as error:
                self.refused[name] = error.reason
                return
            try:
                self.served.append(name)
                await self.go[name].wait()
            finally:
                self.executor.release(lease, SUCCESS)


async def test_a_free_place_is_given_without_waiting(bench: RequestBench, executor: ModelRequestExecutor) -> None:
    lease = await executor.acquire(bench.item())
    assert executor.release(lease, SUCCESS)
    assert not executor.release(lease, SUCCESS)
    assert executor.leases == (1, 1)


async def test_waiters_are_served_in_order_as_leases_come_back(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    async with trio.open_nursery() as nursery:
        callers = Callers(bench, executor, nursery)
        for name in "abcd":
            await callers.join(name)
        assert callers.served == ["a", "b"]
        for name in "abcd":
            callers.go[name].set()
        await wait_all_tasks_blocked()
        assert sorted(callers.served) == ["a", "b", "c", "d"]
    assert executor.leases == (4, 4)


async def test_a_wait_ends_when_its_time_is_over(
    bench: RequestBench, executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    held = [await executor.acquire(bench.item()) for _ in range(2)]
    for options, reason in (
        ({"timeout": 5.0}, "queue_timeout"),
        ({"deadline": trio.current_time() + 9.0}, "deadline"),
    ):
        started = trio.current_time()
        with pytest.raises(RequestAdmissionError) as caught:
            await executor.acquire(bench.item(**options))  # type: ignore[arg-type]
        assert caught.value.reason == reason
        assert trio.current_time() - started == pytest.approx({"queue_timeout": 5.0, "deadline": 4.0}[reason])
    for lease in held:
        executor.release(lease, SUCCESS)


async def test_the_end_of_a_cooldown_is_slept_out_exactly(
    bench: RequestBench, executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    bench.limiters[CHAT].blocked_until = trio.current_time() + 7.5
    started = trio.current_time()
    lease = await executor.acquire(bench.item())
    assert trio.current_time() - started == pytest.approx(7.5)
    executor.release(lease, SUCCESS)


async def test_the_timer_wakes_nobody_for_nothing(
    bench: RequestBench, executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    """Nothing polls: while nothing changes, no limiter is asked."""
    asked = 0
    limiter = bench.limiters[CHAT]
    check = limiter.check

    def counting(item: object, now: float) -> object:
        nonlocal asked
        asked += 1
        return check(item, now)  # type: ignore[arg-type]

    limiter.check = counting  # type: ignore[method-assign, assignment]
    async with trio.open_nursery() as nursery:
        limiter.blocked_until = trio.current_time() + 1000.0
        callers = Callers(bench, executor, nursery)
        for name in "abcde":
            await callers.join(name)
        before = asked
        await trio.sleep(999.0)
        assert asked == before
        nursery.cancel_scope.cancel()


async def test_cancelling_in_the_queue_takes_out_only_that_one(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    async with trio.open_nursery() as nursery:
        callers = Callers(bench, executor, nursery)
        scopes = {name: await callers.join(name) for name in "abcd"}
        scopes["c"].cancel()
        await wait_all_tasks_blocked()
        callers.go["a"].set()
        await wait_all_tasks_blocked()
        assert callers.served == ["a", "b", "d"]
        callers.go["b"].set()
        callers.go["d"].set()
    assert bench.in_flight() == (0, 0)


async def test_cancelling_the_head_frees_the_way_for_those_behind_it(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    async with trio.open_nursery() as nursery:
        callers = Callers(bench, executor, nursery)
        await callers.join("holder")
        head = await callers.join("head", requests=2)
        await callers.join("behind")
        assert callers.served == ["holder"]
        head.cancel()
        await wait_all_tasks_blocked()
        assert callers.served == ["holder", "behind"]
        callers.go["holder"].set()
        callers.go["behind"].set()


async def test_cancelling_in_the_instant_of_the_grant_loses_no_lease(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    held = [await executor.acquire(bench.item()) for _ in range(2)]
    async with trio.open_nursery() as nursery:
        callers = Callers(bench, executor, nursery)
        scope = await callers.join("waiter")
        executor.release(held[0], SUCCESS)
        scope.cancel()  # it has its lease, and has not run yet
        await wait_all_tasks_blocked()
    assert callers.served == ["waiter"]
    executor.release(held[1], SUCCESS)
    assert executor.leases == (3, 3)
    assert bench.in_flight() == (0, 0)


async def test_cancelling_everything_at_every_step_leaves_nothing_behind() -> None:
    """Acquire, hold and release, cancelled after 0, 1, 2, … scheduler ticks."""
    for ticks in range(12):
        bench = RequestBench({CHAT: 2})
        async with ModelRequestExecutor(bench.controller, bench.events) as executor:

            async def work(executor: ModelRequestExecutor = executor, bench: RequestBench = bench) -> None:
                for _ in range(3):
                    lease = await executor.acquire(bench.item())
                    try:
                        await trio.lowlevel.checkpoint()
                    finally:
                        executor.release(lease, SUCCESS)

            async with trio.open_nursery() as nursery:
                for _ in range(6):
                    nursery.start_soon(work)
                for _ in range(ticks):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            bench.controller.check_invariants()
            assert bench.in_flight() == (0, 0), ticks
            assert bench.controller.queue_view.queued_total == 0
            issued, returned = executor.leases
            assert issued == returned


async def test_cancelled_stays_cancelled_also_where_a_lease_was_free(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await executor.acquire(bench.item())
    assert scope.cancelled_caught
    assert executor.leases == (0, 0)


async def test_no_wake_up_is_lost_under_load(autojump_clock: MockClock) -> None:
    bench = RequestBench({CHAT: 5})
    done = 0
    most = 0
    async with ModelRequestExecutor(bench.controller, bench.events) as executor:

        async def work(number: int) -> None:
            nonlocal done, most
            for turn in range(5):
                lease = await executor.acquire(bench.item(group=str(number % 7)))
                most = max(most, bench.in_flight()[0])
                await trio.sleep(((number * 7 + turn) % 5) / 10)
                executor.release(lease, SUCCESS)
            done += 1

        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(work, number)
    assert (done, most) == (200, 5)
    assert executor.leases == (1000, 1000)


async def test_leaving_the_block_refuses_who_still_waits(bench: RequestBench) -> None:
    async with trio.open_nursery() as nursery:
        async with ModelRequestExecutor(bench.controller, bench.events) as executor:
            callers = Callers(bench, executor, nursery)
            for name in "abc":
                await callers.join(name)
        await wait_all_tasks_blocked()
        assert callers.refused == {"c": "shutdown"}
        callers.go["a"].set()
        callers.go["b"].set()
    assert executor.leases == (2, 2)


async def test_what_the_block_raises_comes_out_as_it_is(bench: RequestBench) -> None:
    with pytest.raises(ZeroDivisionError):
        async with ModelRequestExecutor(bench.controller, bench.events):
            raise ZeroDivisionError


async def test_registering_raising_and_lowering_under_load(bench: RequestBench, executor: ModelRequestExecutor) -> None:
    async with trio.open_nursery() as nursery:
        callers = Callers(bench, executor, nursery)
        for name in "abcde":
            await callers.join(name)
        executor.register("p", "m", cap=4)
        await wait_all_tasks_blocked()
        assert sorted(callers.served) == ["a", "b", "c", "d"]
        executor.register("p", "m", cap=1)
        for name in "abc":
            callers.go[name].set()
        await wait_all_tasks_blocked()
        assert sorted(callers.served) == ["a", "b", "c", "d"]
        callers.go["d"].set()
        await wait_all_tasks_blocked()
        assert sorted(callers.served) == ["a", "b", "c", "d", "e"]
        callers.go["e"].set()


async def test_a_reconfiguration_wakes_who_waited_for_what_is_gone(
    bench: RequestBench, executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        bench.limiters[CHAT].blocked_until = trio.current_time() + 1e6
        callers = Callers(bench, executor, nursery)
        await callers.join("a")
        executor.reconfigure(lambda scope, cap: ())
        await wait_all_tasks_blocked()
        assert callers.served == ["a"]
        callers.go["a"].set()


async def test_a_model_that_nobody_configured_gets_the_default_cap_at_its_first_call(bench: RequestBench) -> None:
    async with ModelRequestExecutor(bench.controller, bench.events, default_cap=1) as executor:
        lease = await executor.acquire(bench.item(UNKNOWN))
        assert isinstance(executor.try_acquire(bench.item(UNKNOWN)), RequestAdmissionDenied)
        executor.release(lease, SUCCESS)


async def test_a_model_that_nobody_configured_is_refused_without_a_default_cap(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    with pytest.raises(RequestAdmissionError) as caught:
        await executor.acquire(bench.item(UNKNOWN))
    assert caught.value.reason == "never_fits"


async def test_outside_its_block_the_executor_says_so(bench: RequestBench) -> None:
    executor = ModelRequestExecutor(bench.controller, bench.events)
    for call in (executor.try_acquire, executor.acquire_from_thread):
        with pytest.raises(RuntimeError, match="inside `async with executor:`"):
            call(bench.item())
    with pytest.raises(RuntimeError):
        await executor.acquire(bench.item())


async def test_events_are_delivered_when_they_happen_and_not_when_the_wait_is_over(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    async with trio.open_nursery() as nursery:
        callers = Callers(bench, executor, nursery)
        await callers.join("a", requests=2)
        bench.delivered.clear()
        await callers.join("b")
        assert [event.event_kind for event in bench.delivered] == ["request_wait_started", "request_queue_formed"]
        nursery.cancel_scope.cancel()


async def test_a_receiver_of_events_may_free_the_place_that_is_waited_for(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    held = [await executor.acquire(bench.item()) for _ in range(2)]

    def release_one(event: RuntimeEvent) -> None:
        if event.event_kind == "request_queue_formed":
            executor.release(held.pop(), SUCCESS)

    bench.events.subscribe(release_one)
    held.append(await executor.acquire(bench.item()))
    for lease in held:
        executor.release(lease, SUCCESS)
    assert executor.leases == (3, 3)


async def test_a_freed_provider_is_reported_once_per_change_when_the_change_is_complete(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    reports: list[tuple[str, int]] = []
    executor.gate.on_freed_provider = lambda provider, now: reports.append(
        (provider.provider_name, bench.in_flight()[0])
    )
    lease = await executor.acquire(bench.item(requests=2))
    assert reports == []
    async with trio.open_nursery() as nursery:
        callers = Callers(bench, executor, nursery)
        await callers.join("a")
        executor.release(lease, SUCCESS)
        assert reports == [("p", 1)], "the call that came back and the wait that it ended are one change"
        callers.go["a"].set()
    assert reports == [("p", 1), ("p", 0)]


async def test_what_is_no_function_is_refused_as_callback_for_freed_providers(executor: ModelRequestExecutor) -> None:
    with pytest.raises(ConfigError, match="on_freed_provider"):
        executor.gate.on_freed_provider = "p"  # type: ignore[assignment]
    assert executor.gate.on_freed_provider is None


# -- a waiter queue that breaks its contract


class FailingWaiters(FifoRequestWaiters):
    """Raises from the named method once `broken` is set."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method
        self.broken = False

    def select_next(self, is_eligible: Callable[..., object], now: float) -> RequestQueueSelection | None:
        if self.broken and self.method == "select_next":
            raise ZeroDivisionError
        return super().select_next(is_eligible, now)  # type: ignore[arg-type]

    def remove(self, waiter: RequestWaiter, now: float) -> bool:
        if self.broken and self.method == "remove":
            raise ZeroDivisionError
        return super().remove(waiter, now)


@pytest.mark.parametrize("method", ["select_next", "remove"])
async def test_a_queue_that_raises_ends_the_waiting_with_its_name_and_not_in_a_hang(method: str) -> None:
    queue = FailingWaiters(method)
    bench = RequestBench({CHAT: 2}, waiters=queue)
    errors: list[PluginError] = []
    executor = ModelRequestExecutor(bench.controller, bench.events)

    async def wait() -> None:
        try:
            await executor.acquire(bench.item())
        except PluginError as error:
            errors.append(error)

    async def break_it(nursery: trio.Nursery) -> None:
        async with executor:
            held = [await executor.acquire(bench.item()) for _ in range(2)]
            cancelled = trio.CancelScope()

            async def wait_and_be_cancelled() -> None:
                with cancelled:
                    await wait()

            nursery.start_soon(wait)
            nursery.start_soon(wait_and_be_cancelled)
            await wait_all_tasks_blocked()
            queue.broken = True
            if method == "remove":
                cancelled.cancel()
                await wait_all_tasks_blocked()
            for lease in held:
                executor.release(lease, SUCCESS)
            await wait_all_tasks_blocked()
            with pytest.raises(PluginError) as caught:
                await executor.acquire(bench.item())
            assert caught.value.plugin == "FailingWaiters"

    async with trio.open_nursery() as nursery:
        with pytest.raises(PluginError) as caught:
            await break_it(nursery)
        assert caught.value.plugin == "FailingWaiters"
    assert [error.plugin for error in errors] == ["FailingWaiters"] * (2 if method == "select_next" else 1)
    assert executor.leases == (2, 2)
    bench.controller.check_invariants()


async def test_a_lease_is_given_by_name_too(bench: RequestBench, executor: ModelRequestExecutor) -> None:
    executor.register("p", "m", cap={"fast": 3})
    key = executor.resolver.resolve("p/fast")
    lease = executor.try_acquire(bench.item(key))
    assert isinstance(lease, RequestAdmissionLease)
    assert lease.item.resource == CHAT
    executor.release(lease, SUCCESS)
