"""Tasks in threads: their limit, their calls, how they are told to end, and what is done about one that does not."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

import penstock
from penstock import ConfigError, PenstockError, ResponseFacts, Scheduler

pytestmark = pytest.mark.loopback

PROVIDERS = {"acme": {"models": {"fast": {"max_parallel_requests": 2}}}}


@asynccontextmanager
async def opened(**config: Any) -> AsyncIterator[Scheduler]:
    """A run with the plugin, found by its name."""
    tables = {"plugins": {"task_runners": ["threads"], "threads": config}, "providers": PROVIDERS}
    async with penstock.open_scheduler(tables) as scheduler:
        yield scheduler


class Door:
    """A function that says when it has begun, and blocks until it may end."""

    def __init__(self) -> None:
        self.begun = trio.Event()
        self._token = trio.lowlevel.current_trio_token()
        self._ends = threading.Event()

    def pass_through(self) -> str:
        self._token.run_sync_soon(self.begun.set)
        self._ends.wait()
        return threading.current_thread().name

    def open(self) -> None:
        self._ends.set()


def call() -> str:
    with penstock.request("acme/fast") as attempt:
        attempt.answered(ResponseFacts(status=200))
        return "called"


async def test_a_task_runs_in_a_thread_with_its_name() -> None:
    async with opened() as scheduler:
        door = Door()
        handle = scheduler.start_soon(door.pass_through, runner="threads", task_id="the-task")
        await door.begun.wait()
        door.open()
        assert await handle == "the-task"


async def test_the_limit_is_the_runners_own_and_not_trios() -> None:
    trios = trio.to_thread.current_default_thread_limiter()
    before, trios.total_tokens = trios.total_tokens, 1
    try:
        async with opened(workers=2) as scheduler:
            doors = [Door() for _ in range(3)]
            handles = [scheduler.start_soon(door.pass_through, runner="threads") for door in doors]
            await trio.testing.wait_all_tasks_blocked()
            standing = scheduler.health().runners["threads"]
            assert (standing.busy, standing.waiting) == (2, 1)
            assert trios.borrowed_tokens == 0
            for door in doors:
                door.open()
            for handle in handles:
                await handle
    finally:
        trios.total_tokens = before


async def test_calls_inside_are_admitted() -> None:
    async with opened() as scheduler:
        async with scheduler.map(lambda _: call(), range(10), runner="threads") as results:
            assert [result async for result in results] == ["called"] * 10
        assert scheduler.requests.leases == (10, 10)


async def test_a_thread_that_does_not_end_keeps_its_place_and_is_named() -> None:
    async with opened(workers=1) as scheduler:
        door, other = Door(), Door()
        handle = scheduler.start_soon(door.pass_through, runner="threads", task_id="stuck", cancellable=True)
        await door.begun.wait()
        waiting = scheduler.start_soon(other.pass_through, runner="threads")
        scheduler.cancel_task("stuck")
        await trio.testing.wait_all_tasks_blocked()
        assert "runner threads: 1 of 1 workers busy, 1 tasks wait" in scheduler.explain()
        assert "task 'stuck' was cancelled 0.0 s ago and has not ended" in scheduler.explain()
        assert not handle.done
        assert not other.begun.is_set()
        door.open()
        other.open()
        await waiting
        assert handle.status == "completed", "it ended by itself, with its result"


async def test_a_thread_that_does_not_end_is_left_at_the_end_of_the_run() -> None:
    async with opened(leave_after=0.01) as scheduler:
        door = Door()
        scheduler.start_soon(door.pass_through, runner="threads", task_id="stuck")
        await door.begun.wait()
        scheduler.cancel()
    report = scheduler.report
    assert report is not None
    assert list(report.abandoned) == ["stuck"]
    assert report.leases == (1, 1)
    door.open()


HANGS = """
import threading, trio, penstock

def hangs():
    begun.set()
    threading.Event().wait()

begun = threading.Event()

async def main():
    tables = {"plugins": {"task_runners": ["threads"], "threads": {"leave_after": 0}}}
    async with penstock.open_scheduler(tables) as scheduler:
        scheduler.start_soon(hangs, runner="threads", task_id="stuck")
        await trio.to_thread.run_sync(begun.wait)
        scheduler.cancel()
    print(dict(scheduler.report.abandoned))

trio.run(main)
"""


def test_a_thread_that_never_ends_does_not_keep_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", HANGS], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.startswith("{'stuck': ")
    assert (done.returncode, done.stderr) == (0, "")


async def test_what_a_thread_raises_ends_its_task_alone() -> None:
    def exits(error: type[BaseException]) -> None:
        raise error

    async with opened() as scheduler:
        for error in (SystemExit, KeyboardInterrupt, GeneratorExit):
            handle = scheduler.start_soon(exits, error, runner="threads")
            await handle.wait()
            assert isinstance(handle.error, PenstockError)
        assert await scheduler.start_soon(call, runner="threads") == "called"


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"workers": 0}, "plugins.threads.workers: must be a whole number from 1 on, not 0"),
        ({"workers": True}, "plugins.threads.workers: must be a whole number, not true"),
        ({"workers": 1.5}, "plugins.threads.workers: must be a whole number, not 1.5"),
        ({"leave_after": -1}, "plugins.threads.leave_after: must be a number of at least 0, not -1"),
        ({"leave_after": float("nan")}, "plugins.threads.leave_after: must be a number of at least 0"),
        ({"leave_after": float("inf")}, "plugins.threads.leave_after: must be a number of at least 0"),
        ({"worker": 3}, "plugins.threads.worker: unknown key; did you mean 'workers'?"),
        ({"shadow": True}, "plugins.threads.shadow: this plugin cannot be in shadow, since it runs tasks"),
    ],
)
async def test_what_cannot_be_set_is_refused(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        async with opened(**config):
            pass
    assert problem in str(caught.value)
