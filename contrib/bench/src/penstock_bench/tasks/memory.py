"""What queued tasks weigh. Run as a program, in a process of its own that traces memory from its first moment:

    python -X tracemalloc -m penstock_bench.tasks.memory queue 1000000

prints one JSON object, `{"before": bytes, "queued": bytes, "after": bytes}`. Traced from the first moment, since "back
within 5 %" means little beside a figure that begins when everything has been imported.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from typing import Final

import attrs
import trio
import trio.testing

import penstock
from penstock_bench.dispatch.driver import GateDriver, NoOpinion
from penstock_bench.dispatch.workloads import Workload, all_fits
from penstock_bench.tasks.cells import TaskCount

__all__ = ["Weighed", "in_a_process", "queue", "scheduler"]

GROUPS: Final = 64
PLACES: Final = 16


@attrs.frozen
class Weighed:
    """Bytes traced before anything was queued, while `tasks` are queued, and after they have drained."""

    tasks: int
    before: int
    queued: int
    after: int

    @property
    def each(self) -> float:
        """Bytes of one queued task."""
        return (self.queued - self.before) / self.tasks

    @property
    def left(self) -> float:
        """How much more is traced after they have drained than before they were queued, as a share."""
        return self.after / self.before - 1.0


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def queue(tasks: int) -> Weighed:
    """Tasks in the ready queue, their records included; their payload is nothing."""
    driver = GateDriver(1024)
    _through(driver, all_fits(GROUPS, GROUPS))  # what is made once is there before the first figure
    before = _traced()
    workload = all_fits(GROUPS, tasks)
    _enqueue(driver, workload)
    queued = _traced()
    assert driver.cycles(tasks) == tasks
    del workload
    return Weighed(tasks, before, queued, _traced())


def _through(driver: GateDriver, workload: Workload) -> None:
    _enqueue(driver, workload)
    driver.cycles(workload.total)


def _enqueue(driver: GateDriver, workload: Workload) -> None:
    specs = [penstock.TaskGroupSpec.named(kind.name) for kind in workload.groups]
    for at, task_id in workload.arrivals():
        driver.offer([penstock.SchedulableTask(task_id, None, specs[at])])


def scheduler(tasks: int) -> Weighed:
    """Tasks handed to the scheduler and queued for a place, with handles and all; nobody keeps the handles."""

    async def run() -> Weighed:
        count = TaskCount()
        config = {"scheduler": {"submission_capacity": PLACES}}
        async with penstock.open_scheduler(config, plugins=[NoOpinion()]) as scheduler:
            await _through_the_scheduler(scheduler, count, GROUPS)  # what is made once is there before the first figure
            all_queued = trio.Event()
            for _ in range(PLACES):
                scheduler.start_soon(all_queued.wait)
            await trio.testing.wait_all_tasks_blocked()
            before = _traced()
            _hand_in(scheduler, count, tasks)
            await trio.testing.wait_all_tasks_blocked()
            assert scheduler.progress["queued"] == tasks
            queued = _traced()
            all_queued.set()
            await _drained(scheduler)
            return Weighed(tasks, before, queued, _traced())

    return trio.run(run)


async def _through_the_scheduler(scheduler: penstock.Scheduler, count: TaskCount, tasks: int) -> None:
    _hand_in(scheduler, count, tasks)
    await _drained(scheduler)


def _hand_in(scheduler: penstock.Scheduler, count: TaskCount, tasks: int) -> None:
    for number in range(tasks):
        scheduler.start_soon(count.task, group=f"column-{number % GROUPS}")


async def _drained(scheduler: penstock.Scheduler) -> None:
    while scheduler.progress["unfinished"]:
        await trio.testing.wait_all_tasks_blocked()


def in_a_process(what: str, tasks: int) -> Weighed:
    """What weighing in a process of its own gives. Raises `subprocess.CalledProcessError` if that fails."""
    command = [sys.executable, "-X", "tracemalloc", "-m", "penstock_bench.tasks.memory", what, str(tasks)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Weighed(**json.loads(answer))


def main(arguments: list[str]) -> None:
    """Weigh what the arguments say, and print it."""
    cells: dict[str, Callable[[int], Weighed]] = {"queue": queue, "scheduler": scheduler}
    what, tasks = arguments
    print(json.dumps(attrs.asdict(cells[what](int(tasks)))))


if __name__ == "__main__":
    main(sys.argv[1:])
