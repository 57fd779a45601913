"""What thousands of groups cost Python's collector of circles, which looks at every object there is, time and again."""

from __future__ import annotations

import gc

from penstock import SchedulableTask, TaskGroupSpec
from penstock.testing import make_task
from penstock_fairqueue import FairTaskQueue

GROUPS = 8000


def tasks_of(groups: int, each: int) -> list[SchedulableTask]:
    specs = [TaskGroupSpec.named(f"g{n}") for n in range(groups)]
    return [make_task(f"{n}-{at}", group=group) for n in range(each) for at, group in enumerate(specs)]


def take(queue: FairTaskQueue, tasks: int) -> None:
    for _ in range(tasks):
        selection = queue.select_next(lambda task, view: None, 0.0)
        assert selection is not None
        assert queue.commit(selection, 0.0) is not None


def test_a_group_with_one_task_is_six_objects_to_the_collector() -> None:
    queue = FairTaskQueue({"submission": 1})
    tasks = tasks_of(GROUPS, 1)
    gc.collect()
    before = len(gc.get_objects())

    queue.enqueue(tasks, 0.0)
    gc.collect()

    assert len(gc.get_objects()) - before < 6.1 * GROUPS


def test_a_wave_of_groups_that_the_clock_reaches_is_taken_over_as_it_is() -> None:
    queue = FairTaskQueue({"submission": 1})
    queue.enqueue(tasks_of(GROUPS, 3), 0.0)
    take(queue, GROUPS // 2)
    before = gc.get_stats()[0]["collections"]

    take(queue, GROUPS)

    assert gc.get_stats()[0]["collections"] - before < GROUPS / gc.get_threshold()[0] / 4
