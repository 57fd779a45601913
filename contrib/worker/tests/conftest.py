"""The fixture: a worker between streams in memory, in virtual time, with a parent that has all the traps there are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, Protocol

import pytest
import trio
from trio.testing import MemoryReceiveStream, MemorySendStream, memory_stream_one_way_pair

from penstock_worker.handlers import Handlers
from penstock_worker.serving import Prepared, WorkerRun
from penstock_worker.settings import worker_settings
from penstock_worker.testing import Outcome, Parent


class Worked:
    """A worker that runs, as its parent sees it."""

    def __init__(self, to_worker: MemorySendStream, from_worker: MemoryReceiveStream, sink: MemorySendStream) -> None:
        self.parent = Parent()
        self.exit_code: int | None = None
        self.exited_at = 0.0
        self.send_signal, self.signals = trio.open_memory_channel[int](10)
        self._to_worker = to_worker
        self._from_worker = from_worker
        self._sink = sink
        self._changed = trio.Event()
        self.left = trio.Event()

    async def send(self, task_id: str, payload: Any = None, **options: str) -> None:
        """A task is handed to the worker."""
        await self.send_raw(self.parent.line(task_id, payload, **options))

    async def send_raw(self, data: bytes) -> None:
        await self._to_worker.send_all(data)

    async def end_input(self) -> None:
        await self._to_worker.aclose()

    def signal(self) -> None:
        """SIGTERM, or another."""
        self.send_signal.send_nowait(15)

    def pause_reading(self) -> Callable[[], None]:
        """The parent reads no more, until what this returns is called."""
        deliver, again = self._sink.send_all_hook, trio.Event()
        assert deliver is not None

        async def deliver_later() -> None:
            await again.wait()
            await deliver()

        self._sink.send_all_hook = deliver_later
        return again.set

    async def leave(self) -> None:
        """The parent reads no more, and never will."""
        await self._from_worker.aclose()
        self.left.set()

    async def until(self, condition: Callable[[Parent], bool]) -> None:
        while not condition(self.parent):
            await self._changed.wait()

    async def answers(self, *task_ids: str) -> list[Outcome]:
        """The outcomes of these tasks, once they are there."""
        await self.until(lambda parent: all(task_id in parent.outcomes for task_id in task_ids))
        return [self.parent.outcomes[task_id] for task_id in task_ids]

    async def exit(self) -> int:
        """The exit code, once the worker has ended."""
        await self.until(lambda _: self.exit_code is not None)
        assert self.exit_code is not None
        return self.exit_code

    async def read(self) -> None:
        try:
            async for data in self._from_worker:
                self.parent.read(bytes(data), trio.current_time())
                self._notice()
        except trio.ClosedResourceError:
            return

    def exited(self, code: int) -> None:
        self.exit_code, self.exited_at = code, trio.current_time()
        self.parent.exited(code, self.exited_at)
        self._from_worker.close()
        self._notice()

    def _notice(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()


class StartWorker(Protocol):
    """What the fixture `worker` is: `async with worker(handlers, workers=8) as worked`."""

    def __call__(
        self,
        handlers: Handlers,
        workers: int = 1,
        config: Mapping[str, Any] | None = None,
        *,
        plugins: tuple[object, ...] = (),
        once: bool = False,
    ) -> AbstractAsyncContextManager[Worked]: ...


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
def slow(handlers: Handlers) -> Handlers:
    """A task that takes as many seconds as its payload says, and returns it."""

    @handlers.task
    async def sleep(payload: float, context: Any) -> float:
        await trio.sleep(payload)
        return payload

    return handlers


@pytest.fixture
def worker() -> StartWorker:
    return run_worker


@asynccontextmanager
async def run_worker(
    handlers: Handlers,
    workers: int = 1,
    config: Mapping[str, Any] | None = None,
    *,
    plugins: tuple[object, ...] = (),
    once: bool = False,
) -> AsyncIterator[Worked]:
    """A worker for the block; its input ends with the block, and it has ended after it."""
    to_worker, source = memory_stream_one_way_pair()
    sink, from_worker = memory_stream_one_way_pair()
    worked = Worked(to_worker, from_worker, sink)
    prepared = Prepared(handlers, worker_settings(config, workers, {}, handlers), None, plugins)
    run = WorkerRun(prepared, source, sink, signals=receiving(worked.signals), gone=worked.left.wait, once=once)

    async def work() -> None:
        worked.exited(await run.run())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        nursery.start_soon(worked.read)
        yield worked
        await worked.end_input()


@contextmanager
def receiving(signals: trio.MemoryReceiveChannel[int]) -> Iterator[AsyncIterator[int]]:
    yield signals
