"""The rows: each measures one promise of the runners, in real time and with real processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Any, Final

import attrs
import trio

import penstock
from penstock_bench.runners.work import compute, noted, turns_in

__all__ = ["ROWS", "Found", "RunnerRow"]

TASK_SECONDS: Final = 0.05
PAUSE: Final = 0.005
"""Seconds between simple tasks."""
KILLED_TASKS: Final = 10_000 / 60
"""Tasks for each second in which workers are killed."""
SOON: Final = 10.0
"""Seconds within which an interrupted program must have ended."""


@attrs.frozen
class Found:
    """The figure of a row, in words for the table too, and whether it is what was promised."""

    figure: str
    wanted: str
    met: bool


@attrs.frozen
class RunnerRow:
    """A row: `measure` takes the seconds that it may take, roughly."""

    name: str
    title: str
    measure: Callable[[float], Found]


@asynccontextmanager
async def _opened(workers: int) -> AsyncIterator[penstock.Scheduler]:
    tables = {
        "plugins": {"task_runners": ["processes"], "processes": {"workers": workers}},
        "scheduler": {"submission_capacity": 100_000, "retry_backoff": 0.01, "max_attempts": 1000},
    }
    async with penstock.open_scheduler(tables) as scheduler:
        async with scheduler.map(compute, [1] * 4 * workers, runner="processes") as warm:
            async for _ in warm:
                pass
        yield scheduler


# -- all cores


def cores(seconds: float) -> Found:
    """How many times as fast tasks are done by two workers as by one."""
    turns = turns_in(TASK_SECONDS)
    tasks = max(8, int(seconds / TASK_SECONDS / 2))

    async def timed(workers: int) -> float:
        async with _opened(workers) as scheduler:
            began = perf_counter()
            async with scheduler.map(compute, [turns] * tasks, runner="processes") as results:
                async for _ in results:
                    pass
            return perf_counter() - began

    ratio = trio.run(timed, 1) / trio.run(timed, 2)
    return Found(f"{ratio:.2f} times", "at least 1.8 times", ratio >= 1.8)


# -- simple tasks beside


async def _nothing() -> None:
    await trio.lowlevel.checkpoint()


async def _latency(scheduler: penstock.Scheduler, number: int) -> float:
    """The 99th percentile of what so many simple tasks take from end to end, in seconds."""
    took = []
    for _ in range(number):
        began = perf_counter()
        await scheduler.start_soon(_nothing)
        took.append(perf_counter() - began)
        await trio.sleep(PAUSE)
    return sorted(took)[int(len(took) * 0.99)]


def latency(seconds: float) -> Found:
    """The 99th percentile of simple tasks while all cores compute, and while nothing does."""
    turns, number = turns_in(TASK_SECONDS), max(100, int(seconds / PAUSE / 4))

    async def main() -> tuple[float, float]:
        workers = os.cpu_count() or 1
        async with _opened(workers) as scheduler:
            idle = await _latency(scheduler, number)
            async with trio.open_nursery() as nursery:

                async def busy() -> None:
                    while True:
                        await scheduler.start_soon(compute, turns, runner="processes", group="busy")

                for _ in range(2 * workers):
                    nursery.start_soon(busy)
                await trio.sleep(4 * TASK_SECONDS)
                loaded = await _latency(scheduler, number)
                nursery.cancel_scope.cancel()
            return idle, loaded

    idle, loaded = trio.run(main)
    bound = max(0.010, 3 * idle)
    words = f"{loaded * 1000:.2f} ms, idle {idle * 1000:.2f} ms"
    return Found(words, f"at most {bound * 1000:.1f} ms", loaded <= bound)


# -- workers that are killed


def killed(seconds: float) -> Found:
    """Tasks of which none is lost, and none that may not runs twice, while a worker is killed every second."""
    turns = turns_in(0.008)
    number = int(KILLED_TASKS * seconds)
    counts: Counter[str] = Counter()

    async def main(path: str) -> None:
        rng = Random(1)

        async def kill() -> None:
            while True:
                before = counts["over"]
                await trio.sleep(1)
                if counts["over"] == before:  # on a busy machine workers take longer than that to start
                    continue
                children = [each for each in multiprocessing.active_children() if each.pid is not None]
                if children:
                    os.kill(rng.choice(children).pid or 0, signal.SIGKILL)
                    counts["kills"] += 1

        async with _opened(2) as scheduler, trio.open_nursery() as nursery:
            nursery.start_soon(kill)
            options: dict[str, Any] = {"runner": "processes"}
            handles = []
            for task in range(number):
                retry_on = (penstock.WorkerLost,) if task % 2 else ()
                handles.append(scheduler.start_soon(noted, path, task, turns, retry_on=retry_on, **options))
                handles[-1].add_done_callback(lambda _: counts.update(over=1))
            for task, handle in enumerate(handles):
                await handle.wait()
                counts["ended"] += 1
                counts[f"{'twice' if task % 2 else 'once'} {handle.status}"] += 1
                wrong = handle.status == "completed" and handle.result() != task
                counts["wrong"] += wrong or not (handle.done and isinstance(handle.error, penstock.WorkerLost | None))
            nursery.cancel_scope.cancel()

    with TemporaryDirectory() as folder:
        path = Path(folder, "begun")
        trio.run(main, str(path))
        begun = Counter(map(int, path.read_text(encoding="ascii").split()))
    doubled = sum(1 for task, times in begun.items() if times > 1 and task % 2 == 0)
    failed = counts["once failed"]
    ended = counts["once completed"] + failed + counts["twice completed"]
    words = f"{ended:,} of {number:,} ended, {failed} by a kill, {doubled} doubled, {counts['kills']} kills"
    met = ended == number and not doubled and not counts["wrong"] and failed <= counts["kills"]
    return Found(words, "all ended, none doubled that may not", met)


# -- Ctrl+C


def _gone(group: int) -> bool:
    """Whether all processes of a group end soon; those that do not are killed."""
    ends = perf_counter() + SOON
    while perf_counter() < ends:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    return False


def interrupted(seconds: float) -> Found:
    """Programs that are interrupted at many moments: each ends soon, and leaves no process behind."""
    moments = max(6, int(seconds / 2))
    late = stray = 0
    for moment in range(moments):
        program = subprocess.Popen(
            [sys.executable, "-m", "penstock_bench.runners.interrupted"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert program.stdout is not None
        program.stdout.readline()
        sleep(1.5 * moment / moments)
        os.killpg(program.pid, signal.SIGINT)
        try:
            program.wait(SOON)
        except subprocess.TimeoutExpired:
            late += 1
        stray += not _gone(program.pid)
        program.wait()
        program.stdout.close()
    words = f"{moments} moments: {late} ended late, {stray} left a process"
    return Found(words, f"all end within {SOON:.0f} s, nothing is left", not late and not stray)


ROWS: Final = (
    RunnerRow("cores", "50 ms tasks, two workers against one", cores),
    RunnerRow("latency", "p99 of simple tasks while all cores compute", latency),
    RunnerRow("killed", "a worker killed every second", killed),
    RunnerRow("interrupted", "Ctrl+C at many moments", interrupted),
)
