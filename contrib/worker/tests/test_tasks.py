"""How many tasks run is the worker's own affair: nothing that is configured while it runs loosens it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, memory_stream_one_way_pair

import penstock
from penstock_worker.handlers import Handlers
from penstock_worker.outbox import Outbox
from penstock_worker.settings import worker_settings
from penstock_worker.tasks import Tasks
from penstock_worker.testing import Parent
from penstock_worker.threads import WorkerThreads


@pytest.mark.parametrize("workers", [1, 3])
async def test_another_configuration_lets_no_more_tasks_run(
    autojump_clock: MockClock, handlers: Handlers, workers: int
) -> None:
    running: list[int] = []
    most = 0

    @handlers.task
    async def work(payload: int) -> None:
        nonlocal most
        running.append(payload)
        most = max(most, len(running))
        await trio.sleep(1.0)
        running.remove(payload)

    settings = worker_settings(None, workers, {}, handlers)
    outbox = Outbox(memory_stream_one_way_pair()[0])
    looser = {"scheduler": {"submission_capacity": 64}}
    async with (
        penstock.open_scheduler(settings.config, plugins=[WorkerThreads(workers)]) as scheduler,
        trio.open_nursery() as timers,
    ):
        tasks = Tasks(handlers, settings, None, outbox, scheduler, timers)
        scheduler.reconfigure(looser)
        for number in range(8):
            tasks.receive(Parent().line(str(number), number))
        await tasks.all_answered()
        tasks.book.check_invariants()

    assert most == workers
