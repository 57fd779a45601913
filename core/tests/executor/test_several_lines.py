"""A call that several resources serve alike: it waits at all of them, and is made at the first where its turn comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import penstock
from penstock import (
    ConfigError,
    ModelRequestExecutor,
    RequestAdmissionError,
    RequestReleaseOutcome,
    RequestResourceKey,
    RuntimeEvent,
)
from penstock.executor.accounts import IN_A_ROW
from penstock.requests.outcomes import SUCCESS
from penstock.testing import RequestBench

EAST, WEST, SOUTH = "east/m", "west/m", "south/m"
CONFIG = {
    "providers": {name: {"models": {"m": {"max_parallel_requests": 1}}} for name in ("east", "west", "south")},
    "plugins": {"request_limiters": ["cooldown"]},
}


class Calls:
    """Calls at several resources, each held until it is let go; where each was made."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.made_at: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self._go: dict[str, trio.Event] = {}
        self._scopes: dict[str, trio.CancelScope] = {}

    async def begin(self, name: str, *resources: str, timeout: float | None = None) -> None:
        self._go[name], self._scopes[name] = trio.Event(), trio.CancelScope()
        self.nursery.start_soon(self._call, name, resources, timeout)
        await wait_all_tasks_blocked()

    async def end(self, *names: str) -> None:
        for name in names:
            self._go[name].set()
        await wait_all_tasks_blocked()

    async def cancel(self, name: str) -> None:
        self._scopes[name].cancel()
        await wait_all_tasks_blocked()

    async def _call(self, name: str, resources: tuple[str, ...], timeout: float | None) -> None:
        with self._scopes[name]:
            try:
                async with penstock.request(resources, timeout=timeout) as attempt:
                    self.made_at[name] = attempt.lease.item.resource.provider_name
                    await self._go[name].wait()
            except RequestAdmissionError as error:
                self.refused[name] = error.reason


@pytest.fixture
async def calls() -> AsyncIterator[Calls]:
    async with penstock.open_scheduler(CONFIG) as scheduler, trio.open_nursery() as nursery:
        yield Calls(nursery)
        nursery.cancel_scope.cancel()
        await wait_all_tasks_blocked()
    assert scheduler.requests.leases[0] == scheduler.requests.leases[1]


async def test_of_several_free_resources_it_is_the_first(calls: Calls, autojump_clock: MockClock) -> None:
    await calls.begin("a", EAST, WEST)
    await calls.begin("b", EAST, WEST)
    assert calls.made_at == {"a": "east", "b": "west"}


async def test_who_waits_goes_where_a_place_is_free_first(calls: Calls, autojump_clock: MockClock) -> None:
    await calls.begin("a", EAST)
    await calls.begin("b", WEST)
    await calls.begin("c", EAST, WEST)
    await calls.end("b")
    assert calls.made_at["c"] == "west"


async def test_whose_turn_came_in_one_line_stands_in_no_other(calls: Calls, autojump_clock: MockClock) -> None:
    await calls.begin("a", EAST)
    await calls.begin("b", WEST)
    await calls.begin("c", EAST, WEST)
    await calls.begin("d", EAST)
    await calls.end("b")
    await calls.end("a")
    assert calls.made_at["d"] == "east"


async def test_two_places_that_come_free_in_one_moment_serve_two_calls(calls: Calls, autojump_clock: MockClock) -> None:
    await calls.begin("a", EAST)
    await calls.begin("b", WEST)
    await calls.begin("c", EAST, WEST)
    await calls.begin("d", EAST, WEST)
    await calls.end("a", "b")
    assert sorted((calls.made_at["c"], calls.made_at["d"])) == ["east", "west"]


async def test_two_turns_that_come_while_it_is_still_entering_its_lines_leave_it_one(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    resources = [RequestResourceKey(provider, "m", "chat") for provider in ("east", "west")]
    for resource in resources:
        executor.register(resource.provider_name, "m", cap=1)
    held = [await executor.acquire(bench.item(resource)) for resource in resources]

    def release_all(event: RuntimeEvent) -> None:
        while event.event_kind == "request_wait_started" and held:
            executor.release(held.pop(), SUCCESS)

    bench.events.subscribe(release_all)
    lease = await executor.gate.acquire_first([bench.item(resource) for resource in resources])
    assert lease.item.resource == resources[0]
    assert executor.leases == (4, 3)
    executor.release(lease, SUCCESS)
    assert executor.leases == (4, 4)


async def test_a_wait_that_is_cancelled_leaves_every_line(calls: Calls, autojump_clock: MockClock) -> None:
    await calls.begin("a", EAST)
    await calls.begin("b", WEST)
    await calls.begin("c", EAST, WEST)
    await calls.begin("d", WEST)
    await calls.cancel("c")
    await calls.end("a")
    await calls.end("b")
    assert "c" not in calls.made_at
    assert calls.made_at["d"] == "west"


async def test_a_wait_that_is_over_is_refused_once(calls: Calls, autojump_clock: MockClock) -> None:
    await calls.begin("a", EAST)
    await calls.begin("b", WEST)
    await calls.begin("c", EAST, WEST, timeout=2.0)
    await trio.sleep(3)
    assert calls.refused == {"c": "queue_timeout"}


async def test_no_resource_at_all_is_the_callers_mistake(calls: Calls, autojump_clock: MockClock) -> None:
    with pytest.raises(ConfigError, match="at least one"):
        penstock.request([])
    with pytest.raises(ConfigError, match="provider/model"):
        penstock.request([EAST, "nowhere"])


async def test_each_attempt_asks_once_where_it_may_be_made(calls: Calls, autojump_clock: MockClock) -> None:
    made_at: list[str] = []

    async def call(attempt: penstock.Attempt) -> str:
        made_at.append(attempt.lease.item.resource.provider_name)
        if len(made_at) < 3:
            attempt.finish(RequestReleaseOutcome(kind="provider_failure", status=500))
            raise OSError("broken")
        return "done"

    order = iter([EAST, WEST, SOUTH])
    assert await penstock.execute(call, lambda: next(order)) == "done"
    assert made_at == ["east", "west", "south"]


async def test_a_resource_whose_account_is_refused_is_left_out(calls: Calls, autojump_clock: MockClock) -> None:
    for _ in range(IN_A_ROW):
        async with penstock.request(EAST) as attempt:
            attempt.finish(RequestReleaseOutcome(kind="provider_failure", status=402, of="account"))
    await calls.begin("a", EAST, WEST)
    assert calls.made_at == {"a": "west"}


@pytest.mark.parametrize("seed", range(40))
async def test_no_place_is_lost_and_none_stays_empty_while_somebody_waits_for_it(
    seed: int, autojump_clock: MockClock
) -> None:
    rng = Random(seed)
    config = {
        "providers": {
            name: {"models": {"m": {"max_parallel_requests": rng.randint(1, 3)}}} for name in ("east", "west", "south")
        },
        "plugins": {"request_limiters": []},
    }
    waiting: dict[int, tuple[str, ...]] = {}
    out: dict[str, int] = dict.fromkeys((EAST, WEST, SOUTH), 0)
    ends: dict[int, str] = {}

    async def caller(number: int) -> None:
        await trio.sleep(rng.randrange(20) / 10)
        resources = tuple(rng.sample((EAST, WEST, SOUTH), rng.randint(1, 3)))
        waiting[number] = resources
        with trio.move_on_after(rng.choice((0.1, 0.5, 100.0))):
            try:
                async with penstock.request(resources, timeout=rng.choice((None, 0.3))) as attempt:
                    del waiting[number]
                    where = f"{attempt.lease.item.resource.provider_name}/m"
                    out[where] += 1
                    try:
                        await trio.sleep(rng.randrange(1, 6) / 10)
                    finally:
                        out[where] -= 1
                    ends[number] = where
            except RequestAdmissionError:
                pass
        waiting.pop(number, None)

    async with penstock.open_scheduler(config) as scheduler:
        caps = {name: config["providers"][name.split("/")[0]]["models"]["m"]["max_parallel_requests"] for name in out}  # type: ignore[index]
        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(caller, number)
            for _ in range(60):
                await trio.sleep(0.05)
                await wait_all_tasks_blocked()
                idle = [where for where, count in out.items() if count < caps[where]]
                assert not [each for each in waiting.values() if set(each) & set(idle)]
        assert scheduler.requests.leases[0] == scheduler.requests.leases[1]
    assert ends
