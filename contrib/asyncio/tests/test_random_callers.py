"""Whatever callers on many loops and threads do, in whatever order, at the end every lease is back."""

from __future__ import annotations

import asyncio
import gc
import threading
from random import Random
from typing import Any

import pytest
import uvloop

import penstock

pytestmark = [
    pytest.mark.loopback,
    # loops are closed with their tasks on the way
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

EXPECTED = (asyncio.CancelledError, penstock.RequestAdmissionError, penstock.ConfigError, ConnectionError)


async def one_call(gate: Any, rng: Random) -> None:
    """One call of some kind."""
    kind = rng.randrange(7)
    timeout = rng.choice([None, None, 0])
    if kind == 0:
        async with gate.request("acme/fast", timeout=-1):
            pass
    elif kind == 1:
        async with gate.request("acme/fast", timeout=timeout):
            raise ConnectionError
    elif kind == 2:

        async def call(attempt: Any) -> None:
            await asyncio.sleep(0)
            if rng.random() < 0.5:
                raise ConnectionError

        await gate.execute(call, "acme/fast", max_attempts=1, timeout=timeout)
    elif kind == 3:
        async with gate.request("acme/fast", timeout=timeout) as attempt:
            held = attempt.detach()
        await asyncio.sleep(0)
        if rng.random() < 0.7:
            held.release()
    elif kind == 4:
        await gate.request("acme/fast", timeout=timeout).__aenter__()  # and never leaves it
    else:
        async with gate.request("acme/fast", timeout=timeout, group=f"tenant-{kind}"):
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)


async def caller(gate: Any, rng: Random) -> None:
    for _ in range(6):
        call = asyncio.ensure_future(one_call(gate, rng))
        for _ in range(rng.randrange(6)):
            await asyncio.sleep(0)
        if rng.random() < 0.4:
            call.cancel()
        try:
            await call
        except EXPECTED:
            if not call.done():
                raise


def on_a_loop(gate: Any, rng: Random) -> None:
    loop = rng.choice([asyncio.new_event_loop, uvloop.new_event_loop])()
    tasks = [loop.create_task(caller(gate, Random(rng.random()))) for _ in range(8)]
    if rng.random() < 0.4:  # it dies on the way
        loop.call_later(0, loop.stop)
        for _ in range(rng.randrange(1, 9)):
            loop.call_soon(loop.stop)
            loop.run_forever()
    else:
        loop.run_until_complete(asyncio.wait(tasks))
    if rng.random() < 0.7:
        loop.close()


def on_a_thread(gate: Any, rng: Random) -> None:
    for _ in range(12):
        try:
            with gate.request("acme/fast", timeout=rng.choice([None, 0, -1])):
                if rng.random() < 0.3:
                    raise ConnectionError
        except EXPECTED:
            continue


@pytest.mark.parametrize("seed", range(8))
def test_every_lease_comes_back(open_gate_sync: Any, seed: int) -> None:
    rng = Random(seed)
    with open_gate_sync(cap=3) as opened:
        threads = []
        for _ in range(4):
            threads.append(
                threading.Thread(target=on_a_loop, args=(opened.gate.for_asyncio, Random(rng.random())), daemon=True)
            )
            threads.append(threading.Thread(target=on_a_thread, args=(opened.gate, Random(rng.random())), daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), opened.gate.explain()
        gc.collect()
        for _ in range(3):  # all places are free again
            with opened.gate.request("acme/fast"):
                pass
        health = opened.gate.health()
        assert (health.requests_in_flight, health.waiting_requests) == (0, 0)
    assert opened.recorder.most_in_flight <= 3
    acquired = len(opened.recorder.events("request_lease_acquired"))
    assert acquired == len(opened.recorder.events("request_lease_released")) == len(opened.recorder.outcomes)
