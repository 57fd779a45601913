"""What needs trio says so, and under asyncio it names the door that is there for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

import penstock

CONFIG = {"providers": {"acme": {"models": {"small": {"max_parallel_requests": 1}}}}}

NAMES_THE_DOOR = r"runs under trio, and this code runs under asyncio: .* from penstock-asyncio, or .*`trio.run\(main\)`"


async def opening() -> None:
    async with penstock.open_scheduler(CONFIG):
        pass


async def calling() -> None:
    async with penstock.request("acme/small"):
        pass


async def executing() -> None:
    await penstock.execute(lambda _: trio.sleep(0), "acme/small")


async def working() -> None:
    await penstock.run_in_thread(print)


@pytest.mark.parametrize("use", [opening, calling, executing, working])
def test_under_asyncio_each_door_of_trio_names_that_of_asyncio(use: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await use()

    with pytest.raises(RuntimeError, match=NAMES_THE_DOOR):
        asyncio.run(main())


@pytest.mark.parametrize("use", [calling, executing])
def test_an_event_loop_in_a_thread_of_a_run_is_told_too(use: Callable[[], Any]) -> None:
    async def main() -> None:
        async with penstock.open_scheduler(CONFIG):  # which its threads know, by their context
            with pytest.raises(RuntimeError, match=NAMES_THE_DOOR):
                await trio.to_thread.run_sync(asyncio.run, use())

    trio.run(main)


def test_outside_of_any_loop_it_is_told_how_to_start() -> None:
    with pytest.raises(RuntimeError, match=r"start the program with `trio.run\(main\)`"):
        opening().send(None)
    with pytest.raises(RuntimeError, match=r"inside `async with penstock\.open_scheduler"):
        calling().send(None)


@pytest.mark.parametrize("look", ["explain", "explanation", "figures", "health", "capacity_plan", "reconfigure"])
def test_who_looks_from_elsewhere_is_told_where_the_run_is(look: str) -> None:
    opened: list[penstock.Scheduler] = []

    def ask() -> None:
        with pytest.raises(RuntimeError, match=r"belongs to another thread, or is not open: .*trio\.from_thread"):
            getattr(opened[0], look)()

    async def under_asyncio() -> None:
        ask()

    async def main() -> None:
        async with penstock.open_scheduler(CONFIG) as scheduler:
            opened.append(scheduler)
            await trio.to_thread.run_sync(ask)
            await trio.to_thread.run_sync(asyncio.run, under_asyncio())
            assert getattr(scheduler, look)() is not None

    trio.run(main)
    ask()  # the run is over
