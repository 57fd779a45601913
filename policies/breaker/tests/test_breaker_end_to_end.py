"""A run against an endpoint that fails, with the gate and its retries, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import penstock
from penstock import RequestAdmissionError

CALLS = 5_000
MODEL = "acme/small"


class InternalError(OSError):
    """What a client raises when the endpoint answers 500."""


class Endpoint:
    """Fails every call up to `well_at`; an answer takes 0.1 s. Counts the calls by the moment they came."""

    def __init__(self, well_at: float) -> None:
        self.well_at = trio.current_time() + well_at
        self.came: list[float] = []
        self.failed = 0

    async def call(self, attempt: object) -> None:
        now = trio.current_time()
        self.came.append(now)
        await trio.sleep(0.1)
        if now < self.well_at:
            self.failed += 1
            raise InternalError("500")


def config(**breaker: Any) -> dict[str, Any]:
    return {
        "plugins": {"request_limiters": ["breaker", "cooldown", "aimd"], "breaker": breaker},
        "providers": {"acme": {"models": {"small": {"max_parallel_requests": 64}}}},
        "requests": {"max_attempts": 100},
    }


async def run(endpoint: Endpoint, done: list[float], **breaker: Any) -> None:
    """All the calls at once, each until it is answered."""

    async def one(requests: penstock.ModelRequestExecutor) -> None:
        await requests.execute(endpoint.call, MODEL)
        done.append(trio.current_time())

    async with penstock.open_scheduler(config(**breaker)) as scheduler, trio.open_nursery() as nursery:
        for _ in range(CALLS):
            nursery.start_soon(one, scheduler.requests)


async def test_a_dead_endpoint_costs_about_one_call_per_open_period_and_nothing_is_lost(autojump_clock: object) -> None:
    endpoint = Endpoint(well_at=300.0)
    done: list[float] = []
    await run(endpoint, done)
    begin = endpoint.well_at - 300.0
    assert len(done) == CALLS
    at_first = sum(moment < begin + 2.0 for moment in endpoint.came)
    assert at_first <= 74, "those that were out when it opened, and no more"
    probes = [moment for moment in endpoint.came if begin + 2.0 <= moment < endpoint.well_at]
    assert 300 / 30.2 <= len(probes) <= 300 / 24 + 3, "a probe per open period, which is 24 to 30 s in the end"


async def test_it_recovers_within_seconds_and_without_a_thundering_herd(autojump_clock: object) -> None:
    endpoint = Endpoint(well_at=60.0)
    done: list[float] = []
    await run(endpoint, done, open_max_seconds=5.0)
    back = min(done)
    assert back - endpoint.well_at <= 5.0 + 0.2
    soon = [moment for moment in endpoint.came if back <= moment < back + 0.1]
    assert len(soon) <= 3, "one, and the first step of the ramp, not the 64 that would fit"
    later = [moment for moment in endpoint.came if back + 3.0 <= moment < back + 4.0]
    assert len(later) > 100, "and after the ramp everybody"


async def test_who_cannot_wait_as_long_as_it_is_open_is_refused_at_once(autojump_clock: object) -> None:
    endpoint = Endpoint(well_at=1e9)
    async with penstock.open_scheduler(config(open_seconds=30.0, minimum_calls=1)) as scheduler:
        requests = scheduler.requests
        with pytest.raises(InternalError):
            await requests.execute(endpoint.call, MODEL, max_attempts=1)
        before = trio.current_time()
        with pytest.raises(RequestAdmissionError) as refused:
            await requests.execute(endpoint.call, MODEL, deadline=before + 10.0)
        assert refused.value.denied.denied.by == "breaker"
        assert trio.current_time() == before
    assert len(endpoint.came) == 1


async def test_with_fail_fast_waiting_calls_are_refused_when_it_opens(autojump_clock: object) -> None:
    endpoint = Endpoint(well_at=1e9)
    refused = 0

    async def one(requests: penstock.ModelRequestExecutor) -> None:
        nonlocal refused
        try:
            await requests.execute(endpoint.call, MODEL, max_attempts=1)
        except InternalError:
            pass
        except RequestAdmissionError:
            refused += 1

    begin = trio.current_time()
    async with penstock.open_scheduler(config(fail_fast=True)) as scheduler, trio.open_nursery() as nursery:
        for _ in range(CALLS):
            nursery.start_soon(one, scheduler.requests)
    assert trio.current_time() - begin < 2.0
    assert refused == CALLS - len(endpoint.came)
    assert len(endpoint.came) <= 74


async def test_a_probe_that_is_cancelled_lets_the_next_one_ask(autojump_clock: object) -> None:
    endpoint = Endpoint(well_at=1.0)
    async with penstock.open_scheduler(config(minimum_calls=1, jitter=0.0)) as scheduler:
        requests = scheduler.requests
        with pytest.raises(InternalError):
            await requests.execute(endpoint.call, MODEL, max_attempts=1)
        opened = trio.current_time()

        async def hang(attempt: object) -> None:
            await trio.sleep_forever()

        with trio.move_on_at(opened + 8.0):
            await requests.execute(hang, MODEL)
        await requests.execute(endpoint.call, MODEL)
        assert trio.current_time() == pytest.approx(opened + 8.1)


async def test_the_plugin_is_not_active_unless_it_is_named(autojump_clock: object) -> None:
    unnamed = config()
    del unnamed["plugins"]
    endpoint = Endpoint(well_at=1e9)
    async with penstock.open_scheduler(unnamed) as scheduler:
        for _ in range(20):
            with pytest.raises(InternalError):
                await scheduler.requests.execute(endpoint.call, MODEL, max_attempts=1)
    assert len(endpoint.came) == 20
