"""A program that is to be interrupted: tasks at all runners, for as long as it is let."""

from __future__ import annotations

import threading

import trio

import penstock
from penstock_bench.runners.work import compute

TABLES = {"plugins": {"task_runners": ["processes", "threads"], "threads": {"leave_after": 0.1}}}


def wait_a_little() -> None:
    """A thread that blocks for a moment."""
    threading.Event().wait(0.05)


async def _main() -> None:
    async with penstock.open_scheduler(TABLES) as scheduler:
        print("open", flush=True)
        while True:
            handles = [scheduler.start_soon(compute, 200_000, runner="processes") for _ in range(8)]
            blocking = [scheduler.start_soon(wait_a_little, runner="threads") for _ in range(8)]
            for handle in handles:
                await handle.wait()
            for blocked in blocking:
                await blocked.wait()


if __name__ == "__main__":
    trio.run(_main)
