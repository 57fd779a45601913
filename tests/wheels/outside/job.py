"""Eight calls of a second each, in virtual time. Prints how long the run took and how many calls were out at once."""

from __future__ import annotations

import sys

import trio
import trio.testing

import penstock

out = peak = 0


async def call() -> None:
    global out, peak
    async with penstock.request("acme/small"):
        out += 1
        peak = max(peak, out)
        await trio.sleep(1)
        out -= 1


async def main() -> None:
    started = trio.current_time()
    async with penstock.open_scheduler(sys.argv[1]) as scheduler:
        handles = [scheduler.start_soon(call) for _ in range(8)]
        for handle in handles:
            await handle
        took = trio.current_time() - started
    print(f"{took:g} s, {peak} at once")


trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
