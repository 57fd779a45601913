"""Tasks in worker processes: what is refused, what a worker that dies does to whom, and what comes back."""

from __future__ import annotations

import ctypes
import multiprocessing
import operator
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from traceback import format_exception
from typing import Any

import pytest
import trio
import trio.testing

import penstock
from penstock import ConfigError, PenstockError, Scheduler, WorkerLost
from penstock_processes import ProcessesConfig

pytestmark = pytest.mark.loopback


@asynccontextmanager
async def opened(**config: Any) -> AsyncIterator[Scheduler]:
    """A run with the plugin, found by its name, and one worker."""
    tables = {"plugins": {"task_runners": ["processes"], "processes": {"workers": 1, "nice": 0, **config}}}
    async with penstock.open_scheduler(tables) as scheduler:
        yield scheduler


# Workers import what they run. Tests are no module that they could find, so the code comes from one that is written.
TASKS = """
import os, penstock

class Odd(Exception):
    def __init__(self, first, second):
        super().__init__("odd")

class Stubborn(Exception):
    def __reduce__(self):
        raise RuntimeError("stays here")

class Large(Exception):
    pass

class Unloadable:
    def __reduce__(self):
        return _only_here, (os.getpid(),)

def _only_here(pid):
    if pid != os.getpid():
        raise RuntimeError("not in this process")
    return Unloadable()

def inner(depth):
    if depth:
        inner(depth - 1)
    raise KeyError("deep")

def chained():
    try:
        inner(2)
    except KeyError as error:
        raise ValueError("outer") from error

def stubborn(): raise Stubborn("its words")
def odd(): raise Odd(1, 2)
def large_error(): raise Large("x" * 5000)
def unloadable(): return Unloadable()
def unpicklable(): return (each for each in "abc")
async def later(): return 1
def calls():
    with penstock.request("acme/fast"): pass
def begin_and_wait(path):
    with open(path, "w") as fifo: fifo.write("begun")
    import time
    time.sleep(3600)
def once_then(path, value):
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return value
    os._exit(7)
def end_with(code): os._exit(code)
def kill_itself(): os.kill(os.getpid(), 9)
class Kept:
    def coroutine(self): return later()
"""


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module `tasks_of_a_test`, which workers find too."""
    tmp_path.joinpath("tasks_of_a_test.py").write_text(TASKS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield import_module("tasks_of_a_test")
    del sys.modules["tasks_of_a_test"]


# -- what is refused when it is handed in


async def test_what_does_not_pickle_is_refused_and_named() -> None:
    async with opened() as scheduler:
        with pytest.raises(ConfigError, match=r"runner 'processes': fn cannot be pickled .*; define it at the top of"):
            scheduler.start_soon(lambda: 1, runner="processes")
        with pytest.raises(ConfigError, match=r"args\[1\] cannot be pickled for a worker process: .*lock"):
            scheduler.start_soon(operator.add, 1, threading.Lock(), runner="processes")
        with pytest.raises(ConfigError, match="fn must be a plain function, and sleep is an async one"):
            scheduler.start_soon(trio.sleep, 1, runner="processes")
        assert scheduler.progress["unfinished"] == 0


INTERACTIVE = """
import trio, penstock
def mine(): return 1
async def main():
    async with penstock.open_scheduler({"plugins": {"task_runners": ["processes"]}}) as scheduler:
        try:
            scheduler.start_soon(mine, runner="processes")
        except penstock.ConfigError as error:
            print(error)
trio.run(main)
"""

UNGUARDED = """
import trio, penstock
print("the program runs")
def mine(): return 1
async def main():
    async with penstock.open_scheduler({"plugins": {"task_runners": ["processes"]}}) as scheduler:
        print("the run is open")
        handle = scheduler.start_soon(mine, runner="processes")
        await handle.wait()
        print(handle.error)
trio.run(main)
"""


def python(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, args)], capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip


def test_a_function_that_no_worker_could_find_is_refused() -> None:
    done = python("-c", INTERACTIVE)
    assert "fn is defined where no worker process can find it: put it into a module" in done.stdout, done.stderr


def test_a_main_file_without_a_guard_is_told_and_runs_once(tmp_path: Path) -> None:
    main = tmp_path / "main.py"
    main.write_text(UNGUARDED, encoding="utf-8")
    done = python(main)
    assert done.stdout.count("the run is open") == 1
    assert "no worker process can start: the first ended with exit code 1" in done.stdout
    assert 'if __name__ == "__main__":' in done.stdout
    main.write_text(UNGUARDED.replace("trio.run(main)", 'if __name__ == "__main__": trio.run(main)'), encoding="utf-8")
    assert python(main).stdout.splitlines()[-1] == "None"


# -- what comes back


async def test_results_exceptions_and_their_tracebacks_are_as_they_were(tasks: Any) -> None:
    async with opened() as scheduler:
        start = partial(scheduler.start_soon, runner="processes")
        assert await start(operator.mul, 6, 7) == 42
        with pytest.raises(ValueError, match="outer") as caught:
            await start(tasks.chained)
        assert isinstance(caught.value.__cause__, KeyError)
        shown = "".join(format_exception(caught.value))
        assert shown.count("in inner") == 3
        assert "direct cause" in shown

        for fn, words in (
            (tasks.stubborn, "it raised Stubborn, which cannot be pickled .RuntimeError: stays here"),
            (tasks.unpicklable, "its result, of type generator, cannot be pickled"),
            (tasks.unloadable, "its result cannot be loaded here: RuntimeError: not in this process"),
        ):
            with pytest.raises(PenstockError, match=words):
                await start(fn)
        with pytest.raises(tasks.Odd, match="odd"):
            await start(tasks.odd)
        with pytest.raises(ConfigError, match="it returned a coroutine: write `def`"):
            await start(tasks.Kept().coroutine)
        with pytest.raises(RuntimeError, match="there is no gate in this process: call before or after"):
            await start(tasks.calls)
        assert await start(operator.mul, 2, 2) == 4, "the worker is as good as before"


async def test_what_is_too_large_is_refused_for_its_task_alone(tasks: Any) -> None:
    async with opened(largest_result=1000) as scheduler:
        start = partial(scheduler.start_soon, runner="processes")
        with pytest.raises(PenstockError, match=r"its result has 5,0.. bytes, and largest_result allows 1,000: write"):
            await start(bytes, 5000)
        with pytest.raises(PenstockError, match=r"its exception has .* bytes, and largest_result allows 1,000"):
            await start(tasks.large_error)
        assert await start(len, bytes(500_000)) == 500_000
    async with opened() as scheduler:
        assert len(await scheduler.start_soon(bytes, 20_000_000, runner="processes")) == 20_000_000


# -- workers that die


async def test_a_worker_that_dies_ends_its_task_alone(tmp_path: Path, tasks: Any) -> None:
    async with opened() as scheduler:
        start = partial(scheduler.start_soon, runner="processes")
        pid = await start(os.getpid)
        assert await start(os.getpid) == pid, "the worker is kept"
        with pytest.raises(WorkerLost, match=r"task 'x' ended with exit code 3: how far .* retry_on="):
            await start(tasks.end_with, 3, task_id="x")
        with pytest.raises(WorkerLost, match="was killed by SIGKILL"):
            await start(tasks.kill_itself)
        with pytest.raises(WorkerLost, match="was killed by SIGSEGV"):
            await start(ctypes.string_at, 0)
        twice = start(tasks.once_then, str(tmp_path / "once"), 5, retry_on=(WorkerLost,))
        assert await twice == 5
        assert twice.attempts == 2


async def test_cancelling_kills_the_worker(tmp_path: Path, tasks: Any) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with opened() as scheduler:
        handle = scheduler.start_soon(tasks.begin_and_wait, str(fifo), runner="processes", cancellable=True)
        with await trio.to_thread.run_sync(fifo.open) as begun:
            assert await trio.to_thread.run_sync(begun.read) == "begun"
        (worker,) = multiprocessing.active_children()
        scheduler.cancel_task(handle.task_id)
        await handle.wait()
        assert handle.status == "cancelled"
        assert not worker.is_alive()
    assert multiprocessing.active_children() == []


KILLED = """
import os, sys, trio, penstock, penstock_tasks_of_a_killed_run as tasks
TABLES = {"plugins": {"task_runners": ["processes"], "processes": {"workers": 1}}}
async def main():
    async with penstock.open_scheduler(TABLES) as scheduler:
        await scheduler.start_soon(tasks.compute_for_ever, sys.argv[1], runner="processes")
if __name__ == "__main__":
    trio.run(main)
"""
FOR_EVER = """
import os
def compute_for_ever(fifo):
    os.write(os.open(fifo, os.O_WRONLY), b"begun")
    while True:
        pass
"""


def test_a_worker_does_not_outlive_a_run_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(KILLED, encoding="utf-8")
    (tmp_path / "penstock_tasks_of_a_killed_run.py").write_text(FOR_EVER, encoding="utf-8")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen([sys.executable, str(tmp_path / "main.py"), str(fifo)]) as run, fifo.open("rb") as begun:
        assert begun.read(5) == b"begun"
        run.kill()
        assert begun.read() == b""  # the worker held the other end, and is gone


async def test_a_worker_that_was_killed_while_it_had_nothing_to_do_hurts_nobody() -> None:
    async with opened() as scheduler:
        pid = await scheduler.start_soon(os.getpid, runner="processes")
        (worker,) = multiprocessing.active_children()
        worker.kill()
        await trio.to_thread.run_sync(worker.join)
        assert await scheduler.start_soon(os.getpid, runner="processes") != pid
        (worker,) = multiprocessing.active_children()
        worker.kill()


# -- the plugin


@pytest.mark.skipif(not hasattr(os, "nice"), reason="this system has no priorities of that kind")
async def test_workers_stand_back_behind_everything_else() -> None:
    assert ProcessesConfig().nice == 10
    async with opened(nice=3) as scheduler:
        assert await scheduler.start_soon(os.nice, 0, runner="processes") == min(19, os.nice(0) + 3)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"workers": 0}, "plugins.processes.workers: must be a whole number from 1 on, not 0"),
        ({"workers": True}, "plugins.processes.workers: must be a whole number, not true"),
        ({"nice": -1}, "plugins.processes.nice: must be a whole number from 0 to 19, not -1"),
        ({"nice": 20}, "plugins.processes.nice: must be a whole number from 0 to 19, not 20"),
        ({"nice": True}, "plugins.processes.nice: must be a whole number, not true"),
        ({"largest_result": 0}, "plugins.processes.largest_result: must be a whole number from 1 on, not 0"),
        ({"grace": float("nan")}, "plugins.processes.grace: must be a number of at least 0"),
        ({"worker": 1}, "plugins.processes.worker: unknown key; did you mean 'workers'?"),
    ],
)
async def test_what_cannot_be_set_is_refused(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        async with opened(**config):
            pass
    assert problem in str(caught.value)


def test_a_worker_starts_without_what_the_run_needs() -> None:
    code = "import sys, penstock_processes.work; print(*{'penstock', 'trio'} & set(sys.modules))"
    assert python("-c", code).stdout == "\n"
