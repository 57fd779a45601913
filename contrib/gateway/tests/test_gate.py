"""Places, as a front gets them: at once, when its turn has come, or not at all; and every one comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import penstock
from penstock import (
    ModelConfig,
    PenstockConfig,
    PenstockError,
    ProviderConfig,
    RequestCost,
    RequestGroupSpec,
    RequestResourceKey,
)
from penstock_gateway.gate import Admission, Gate, NotAdmitted, Place, Waiting
from penstock_gateway.local_gate import LocalGate

HERE = [RequestResourceKey("acme", "small", "chat")]
LARGE = [RequestResourceKey("acme", "large", "chat")]
CAPS = {"small": 1, "large": 2}
MODELS = {name: ModelConfig(max_parallel_requests=cap) for name, cap in CAPS.items()}
CONFIG = PenstockConfig(providers={"acme": ProviderConfig(models=MODELS)})


@pytest.fixture
async def scheduler() -> AsyncIterator[penstock.Scheduler]:
    async with penstock.open_scheduler(CONFIG) as scheduler:
        yield scheduler


@asynccontextmanager
async def admitted(gate: Gate, places: Sequence[RequestResourceKey], call: Admission) -> AsyncIterator[Place]:
    """A place, when the turn of the call has come; leaving the block releases it. Raises as `Gate.ask`."""
    task = trio.lowlevel.current_task()
    came: list[Place | NotAdmitted | PenstockError] = []

    def on_turn(outcome: Place | NotAdmitted | PenstockError) -> None:
        came.append(outcome)
        trio.lowlevel.reschedule(task)

    place = gate.ask(places, call, on_turn)
    if isinstance(place, Waiting):
        waiting = place

        def leave(_: object) -> trio.lowlevel.Abort:
            waiting.cancel()  # here, and not when the task runs next: its turn could come before that
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(leave)
        outcome = came[0]
        if isinstance(outcome, Exception):
            raise outcome
        place = outcome
    try:
        yield place
    except BaseException as error:
        place.release(error)
        raise
    place.release()


def call(key: str = "a", patience: float = 60.0, calls: int | None = None) -> Admission:
    return Admission(RequestCost(), RequestGroupSpec(key, admitted_limit=calls), trio.current_time() + patience)


async def hold(gate: LocalGate, asked: Admission, scope: trio.CancelScope, log: list[str], name: str) -> None:
    with scope:
        async with admitted(gate, HERE, asked):
            log.append(name)
            await trio.sleep_forever()


async def test_who_waits_has_the_place_when_it_is_free(
    scheduler: penstock.Scheduler, autojump_clock: MockClock
) -> None:
    gate, log = LocalGate(scheduler.requests), list[str]()
    first, second = trio.CancelScope(), trio.CancelScope()
    async with trio.open_nursery() as nursery:
        for name, scope in (("first", first), ("second", second)):
            nursery.start_soon(hold, gate, call(), scope, log, name)
            await wait_all_tasks_blocked()
        assert log == ["first"]
        first.cancel()
        await wait_all_tasks_blocked()
        assert log == ["first", "second"]
        second.cancel()
    assert scheduler.requests.leases == (2, 2)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_no_place_is_lost_where_its_turn_comes_while_a_call_is_cancelled(
    scheduler: penstock.Scheduler, autojump_clock: MockClock, order: tuple[int, int]
) -> None:
    gate, log = LocalGate(scheduler.requests), list[str]()
    for _ in range(20):  # trio runs the two in either order
        scopes = trio.CancelScope(), trio.CancelScope()
        async with trio.open_nursery() as nursery:
            for scope in scopes:
                nursery.start_soon(hold, gate, call(), scope, log, "")
                await wait_all_tasks_blocked()
            for which in order:
                scopes[which].cancel()
        issued, returned = scheduler.requests.leases
        assert issued == returned


async def test_a_refusal_says_whose_limit_it_was(scheduler: penstock.Scheduler, autojump_clock: MockClock) -> None:
    gate = LocalGate(scheduler.requests)
    async with admitted(gate, LARGE, call(calls=1)):
        with pytest.raises(NotAdmitted) as own:
            async with admitted(gate, LARGE, call(patience=2.0, calls=1)):
                pass
    async with admitted(gate, HERE, call()):
        with pytest.raises(NotAdmitted) as others:
            async with admitted(gate, HERE, call("b", patience=0.0)):
                pass
    assert (own.value.reason, own.value.limit_of) == ("queue_timeout", "group a")
    assert (others.value.reason, others.value.limit_of) == ("no_capacity", "")


async def test_what_the_block_raises_ends_the_call_by_it(
    scheduler: penstock.Scheduler, autojump_clock: MockClock
) -> None:
    gate = LocalGate(scheduler.requests)
    with pytest.raises(ValueError, match="mine"):
        async with admitted(gate, HERE, call()):
            raise ValueError("mine")
    assert scheduler.requests.leases == (1, 1)
