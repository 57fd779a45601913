"""The request gate from other threads: real threads, real time, waiting for events and never for durations."""

from __future__ import annotations

import threading

import pytest
import trio

from penstock import ModelRequestExecutor, RequestAdmissionError
from penstock.requests.outcomes import SUCCESS
from penstock.testing import RequestBench

pytestmark = pytest.mark.loopback


async def until_somebody_waits(bench: RequestBench) -> None:
    while not bench.controller.queue_view.queued_total:
        await trio.lowlevel.checkpoint()


async def test_worker_threads_acquire_and_release(bench: RequestBench, executor: ModelRequestExecutor) -> None:

    def work() -> None:
        for _ in range(5):
            lease = executor.acquire_from_thread(bench.item())
            assert executor.release_from_thread(lease, SUCCESS)

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(trio.to_thread.run_sync, work)
    assert executor.leases == (20, 20)


async def test_a_thread_that_trio_did_not_start_may_acquire_too(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    done = trio.Event()
    errors: list[BaseException] = []
    token = trio.lowlevel.current_trio_token()

    def work() -> None:
        try:
            lease = executor.acquire_from_thread(bench.item())
            executor.release_from_thread(lease, SUCCESS)
            with pytest.raises(RequestAdmissionError, match="never_fits"):
                executor.acquire_from_thread(bench.item(requests=9))
        except BaseException as error:
            errors.append(error)
        finally:
            token.run_sync_soon(done.set)

    thread = threading.Thread(target=work)
    thread.start()
    await done.wait()
    thread.join()
    assert errors == []
    assert executor.leases == (1, 1)


async def test_cancelling_the_task_of_a_worker_thread_ends_its_wait(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    held = await executor.acquire(bench.item(requests=2))
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, executor.acquire_from_thread, bench.item())
            await until_somebody_waits(bench)
            scope.cancel()
    assert bench.controller.queue_view.queued_total == 0
    executor.release(held, SUCCESS)
    assert executor.leases == (1, 1)


async def test_calling_in_directly_from_another_thread_is_a_clear_error(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    lease = await executor.acquire(bench.item())

    def work() -> None:
        for call in (
            lambda: executor.try_acquire(bench.item()),
            lambda: executor.release(lease, SUCCESS),
            lambda: trio.run(executor.acquire, bench.item()),
        ):
            with pytest.raises(RuntimeError, match="use acquire_from_thread"):
                call()

    await trio.to_thread.run_sync(work)
    assert executor.leases == (1, 0)
    executor.release(lease, SUCCESS)


async def test_the_runs_own_thread_must_not_block(bench: RequestBench, executor: ModelRequestExecutor) -> None:
    with pytest.raises(RuntimeError, match="await acquire"):
        executor.acquire_from_thread(bench.item())
