"""A gate begins and ends with its block, and says so to whoever comes too early or too late."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio

import penstock
import penstock_asyncio
from penstock import ConfigError, RequestAdmissionError

pytestmark = pytest.mark.loopback

Run = Callable[[Any], None]


def gate_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "penstock gate"]


def test_a_wrong_configuration_is_raised_to_the_opener() -> None:
    async def main() -> None:
        with pytest.raises(ConfigError, match="providers"):
            async with penstock_asyncio.open_gate({"providers": 3}):
                pytest.fail("it is not open")

    asyncio.run(main())
    with pytest.raises(ConfigError, match="providers"), penstock_asyncio.open_gate_sync({"providers": 3}):
        pytest.fail("it is not open")


def test_the_thread_ends_with_the_block(run: Run, open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate():
            (thread,) = gate_threads()
        await asyncio.to_thread(thread.join)

    run(main())


def test_who_waits_when_the_gate_is_closed_is_refused_and_who_is_out_finishes(run: Run, open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            out = asyncio.Event()

            async def call() -> None:
                async with opened.gate.request("acme/fast"):
                    await out.wait()

            holder = asyncio.create_task(call())
            await opened.recorder.until("model_request_started")
            waiter = await opened.waiting()
            waiter.add_done_callback(lambda _: out.set())  # the gate cannot close before
        await holder
        with pytest.raises(RequestAdmissionError) as refused:
            await waiter
        assert refused.value.reason == "shutdown"
        assert opened.recorder.outcomes == ["success"]

    run(main())


def test_a_closed_gate_waits_no_longer_than_its_grace(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate(scheduler={"shutdown_grace": 5.0}) as opened:
            block = await opened.taken()
            waiter = await opened.waiting()
            waiter.add_done_callback(lambda _: opened.clock.jump(5.0))
        await opened.leave(block)
        assert opened.block.report.finished_at == 5.0
        assert opened.recorder.outcomes == ["local_cancelled"]
        assert isinstance(waiter.exception(), RequestAdmissionError)

    asyncio.run(main())


def test_a_block_that_raises_waits_for_nobody(run: Run, open_gate: Any) -> None:
    async def main() -> None:
        with pytest.raises(KeyError):  # noqa: PT012
            async with open_gate() as opened:
                block = await opened.taken()
                waiter = await opened.waiting()
                raise KeyError
        with pytest.raises(RequestAdmissionError):
            await waiter
        await opened.leave(block)
        assert opened.recorder.outcomes == ["local_cancelled"]

    run(main())


def test_after_the_block_all_use_says_that_the_gate_is_closed(open_gate: Any, open_gate_sync: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            pass
        gate = opened.gate
        for use in (gate.request("acme/fast").__aenter__, gate.explain, gate.health):
            with pytest.raises(RuntimeError, match="this gate is closed"):
                await use()
        with pytest.raises(RuntimeError, match="this gate is closed"):
            await gate.execute(asyncio.sleep, "acme/fast")
        with pytest.raises(RuntimeError, match="this gate is closed"):
            gate.now()

    asyncio.run(main())
    with open_gate_sync() as opened:
        pass
    with pytest.raises(RuntimeError, match="this gate is closed"), opened.gate.request("acme/fast"):
        pass


def test_a_block_opens_one_gate() -> None:
    block = penstock_asyncio.open_gate_sync()
    with block:
        pass
    with pytest.raises(RuntimeError, match="opened before"), block:
        pass


def test_who_is_cancelled_while_the_gate_opens_leaves_no_thread(run: Run) -> None:
    async def main() -> None:
        async def opening() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            async with penstock_asyncio.open_gate():
                pytest.fail("a cancelled task opens no gate")

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(opening())
        for thread in gate_threads():
            await asyncio.to_thread(thread.join)

    run(main())


def test_a_gate_that_is_dropped_unclosed_ends() -> None:
    async def main() -> threading.Thread:
        await penstock_asyncio.open_gate().__aenter__()
        (thread,) = gate_threads()
        return thread

    thread = asyncio.run(main())
    gc.collect()
    thread.join()


class Broken:
    """A plugin whose waiter queue fails."""

    @penstock.hookimpl
    def penstock_request_waiters(self) -> Any:
        return BrokenQueue()


class BrokenQueue(penstock.FifoRequestWaiters):
    def select_next(self, *arguments: Any) -> Any:
        raise ZeroDivisionError("the queue")


def test_a_plugin_that_breaks_the_gate_is_an_error_to_its_callers_and_at_the_end() -> None:
    config = {"providers": {"acme": {"models": {"fast": {"max_parallel_requests": 1}}}}}

    async def main() -> None:
        with pytest.raises(penstock.PluginError, match="its queue of waiting calls"):  # noqa: PT012
            async with (
                penstock_asyncio.open_gate(config, plugins=[Broken()]) as gate,
                gate.request("acme/fast"),
            ):
                for _ in range(2):
                    with pytest.raises(penstock.PluginError, match="its queue of waiting calls"):
                        async with gate.request("acme/fast"):
                            pytest.fail("nobody gets in")

    asyncio.run(main())


def test_ctrl_c_ends_a_program_that_waits(run: Run, open_gate: Any) -> None:
    recorders = []

    async def main() -> None:
        async with open_gate() as opened:
            recorders.append(opened.recorder)
            async with opened.gate.request("acme/fast"):
                signal.raise_signal(signal.SIGINT)
                await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        run(main())
    assert recorders[0].outcomes == ["local_cancelled"]


# -- where it cannot be -----------------------------------------------------------------------------------------------


def test_under_trio_it_names_the_door_of_trio() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"use penstock\.open_scheduler"):
            async with penstock_asyncio.open_gate():
                pass

    trio.run(main)


FORKED = """
import os, sys, penstock_asyncio
CONFIG = {"providers": {"acme": {"models": {"fast": {"max_parallel_requests": 1}}}}}
pid = None
try:
    with penstock_asyncio.open_gate_sync(CONFIG) as gate:
        with gate.request("acme/fast"):
            pid = os.fork()
except RuntimeError as error:
    assert pid == 0, error
    assert "open one here" in str(error), error
    with penstock_asyncio.open_gate_sync(CONFIG) as gate, gate.request("acme/fast"):
        print("the child has its own", flush=True)
else:
    assert pid, "the child is told"
    assert os.waitpid(pid, 0)[1] == 0
    print("the parent is well")
"""

LEFT_OPEN = """
import asyncio, sys, penstock_asyncio
gate = None

async def main():
    global gate
    config = {"plugins": {"sinks": ["jsonl"], "jsonl": {"path": sys.argv[1]}},
              "providers": {"acme": {"models": {"fast": {"max_parallel_requests": 1}}}}}
    gate = await penstock_asyncio.open_gate(config).__aenter__()
    async with gate.request("acme/fast"):
        pass

asyncio.run(main())
"""


def python(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_fork_leaves_the_blocks_of_its_parent_and_opens_a_gate_of_its_own() -> None:
    assert python(FORKED).splitlines() == ["the child has its own", "the parent is well"]


def test_a_process_ends_with_a_gate_left_open_and_its_events_are_written(tmp_path: Any) -> None:
    python(LEFT_OPEN, str(tmp_path / "events.jsonl"))
    assert "model_request_completed" in tmp_path.joinpath("events.jsonl").read_text(encoding="utf-8")
