"""Tasks that do nothing, and the share that a cut competitor is compared with."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from penstock_bench.tasks import cells


async def test_tasks_up_to_the_mark_bear_their_share_of_what_was_done_before_the_first(
    each_look_takes_a_second: Callable[[ModuleType], None],
) -> None:
    each_look_takes_a_second(cells)
    count = cells.TaskCount(mark=1)

    count.begin()
    for _ in range(4):
        await count.task()

    assert count.sample(4).amount_at_mark == 1 / 4 + 1
