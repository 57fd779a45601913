"""Where a call goes that nobody competes with: what each one pays at the request gate.

Such a call never has to wait, so its coroutines are run from here to their end without trio, inside its run.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import trio

import penstock
from penstock import ModelRequestExecutor, RequestAdmissionItem, RequestAdmissionLease
from penstock_bench.profile.opcodes import Profile, count
from penstock_bench.requests.cells import SUCCESS, config_of

__all__ = ["call_profiles"]

CAP = 32
WARM_UP = 50


def call_profiles(cycles: int) -> dict[str, Profile]:
    """The profiles of so many calls of each kind, by what the calls do."""
    return trio.run(_measured, cycles)


async def _measured(cycles: int) -> dict[str, Profile]:
    async with penstock.open_scheduler(config_of(CAP)) as scheduler:
        found: dict[str, Profile] = {}
        for title, run in _kinds(scheduler.requests).items():
            run(WARM_UP)

            def counted(run: Callable[[int], None] = run) -> None:
                run(cycles)

            found[title] = count(counted, cycles)
        return found


def _kinds(executor: ModelRequestExecutor) -> dict[str, Callable[[int], None]]:
    item = RequestAdmissionItem(executor.resolver.resolve("bench/model", "chat"))

    def at_once(calls: int) -> None:
        for _ in range(calls):
            lease = executor.try_acquire(item)
            assert isinstance(lease, RequestAdmissionLease)
            executor.release(lease, SUCCESS)

    async def leases(calls: int) -> None:
        for _ in range(calls):
            executor.release(await executor.acquire(item), SUCCESS)

    async def blocks(calls: int) -> None:
        for _ in range(calls):
            async with penstock.request("bench/model"):
                pass

    return {
        "try_acquire and release": at_once,
        "acquire and release": lambda calls: _to_its_end(leases(calls)),
        "async with penstock.request": lambda calls: _to_its_end(blocks(calls)),
    }


def _to_its_end(coroutine: Coroutine[Any, Any, None]) -> None:
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("a call that nobody competes with has waited")
