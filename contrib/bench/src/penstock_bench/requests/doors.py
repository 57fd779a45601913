"""Whole calls through the request gate, under trio and through the door for asyncio: what the way to another thread
costs."""

from __future__ import annotations

import asyncio
from time import perf_counter

import trio

import penstock
import penstock_asyncio
from penstock_bench.measuring.records import Sample
from penstock_bench.measuring.stopwatch import start_clock
from penstock_bench.requests.cells import config_of

__all__ = ["calls_under_asyncio", "calls_under_trio"]


def calls_under_trio(callers: int, each: int, cap: int) -> Sample:
    """`callers` tasks make `each` calls one after the other; a unit is one call."""

    async def run() -> Sample:
        async def caller() -> None:
            for _ in range(each):
                async with penstock.request("bench/model"):
                    await trio.lowlevel.checkpoint()

        async with penstock.open_scheduler(config_of(cap)):
            started = start_clock()
            async with trio.open_nursery() as nursery:
                for _ in range(callers):
                    nursery.start_soon(caller)
            return Sample(callers * each, perf_counter() - started)

    return trio.run(run)


def calls_under_asyncio(callers: int, each: int, cap: int) -> Sample:
    """The same under asyncio, at a gate in a thread of its own."""

    async def run() -> Sample:
        async with penstock_asyncio.open_gate(config_of(cap)) as gate:

            async def caller() -> None:
                for _ in range(each):
                    async with gate.request("bench/model"):
                        await asyncio.sleep(0)

            started = start_clock()
            async with asyncio.TaskGroup() as group:
                for _ in range(callers):
                    group.create_task(caller())
            return Sample(callers * each, perf_counter() - started)

    return asyncio.run(run())
