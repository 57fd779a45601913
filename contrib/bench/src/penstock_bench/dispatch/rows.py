"""The rows of `penstock bench dispatch`: what one cycle of the task gate costs, from enqueue to release."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from penstock_bench.dispatch.cells import (
    all_but_one_capped,
    all_but_one_without_room,
    first_and_last,
    whole_workload,
)
from penstock_bench.dispatch.workloads import Workload, all_fits, turning, window
from penstock_bench.measuring.records import Sample
from penstock_bench.measuring.rows import COMPETITOR, Competitor, Local, Measure, Row
from penstock_bench.measuring.sizes import Sizes

__all__ = ["dispatch_rows"]


def dispatch_rows(sizes: Sizes) -> list[Row]:
    """The rows, in the order of the table. Names say 256 for the largest number of groups, whatever it is."""
    rows = []
    for name, title, make in (
        ("all-fits", "all fits", all_fits),
        ("window", "64 held, 32 blocked", window),
        ("turning", "64 held, 32 in turns at their caps", turning),
    ):
        for groups in sizes.groups:
            called = f"{name}-{256 if groups == sizes.groups[-1] else groups}"
            rows.append(_beside_the_competitor(called, title, make, groups, sizes.tasks))
        rows.append(_beside_the_competitor(f"{name}-256-many", title, make, sizes.groups[-1], sizes.many_tasks))
    return [*rows, *_flat(sizes), _drift(sizes)]


def _beside_the_competitor(name: str, title: str, make: Callable[[int, int], Workload], groups: int, tasks: int) -> Row:
    return Row(
        name=name,
        title=f"{title}, {_groups(groups)}, {tasks:,} tasks",
        ours=partial(whole_workload, make(groups, tasks)),
        other=Competitor("dispatch", {"workload": make.__name__, "groups": groups, "tasks": tasks}),
    )


def _flat(sizes: Sizes) -> list[Row]:
    groups, cycles = sizes.many_groups, sizes.tasks
    with_one = Competitor("dispatch", {"workload": "all_fits", "groups": 1, "tasks": sizes.tasks})
    beside = f"beside {COMPETITOR}'s with 1 group"
    cells: list[tuple[str, str, Measure]] = [
        ("flat-free", "all free", partial(whole_workload, all_fits(groups, sizes.many_tasks))),
        ("flat-no-room", "all but one without room", _unmarked(partial(all_but_one_without_room, groups, cycles))),
        ("flat-capped", "all but one at their caps", _unmarked(partial(all_but_one_capped, groups, cycles))),
    ]
    return [
        Row(name=name, title=f"{title}, {_groups(groups)}, {beside}", ours=cell, other=with_one)
        for name, title, cell in cells
    ]


def _drift(sizes: Sizes) -> Row:
    """One run gives both figures: the first cycles are measured when the other side is asked for, the last with it."""
    workload = all_fits(sizes.groups[-1], sizes.drift_tasks)
    last: list[Sample] = []

    def first_part(_: int | None) -> Sample:
        first, then = first_and_last(workload, sizes.drift_part)
        last.append(then)
        return first

    return Row(
        name="drift",
        title=f"{sizes.drift_tasks:,} tasks, the last {sizes.drift_part:,} cycles beside the first",
        ours=lambda _: last.pop(),
        other=Local("the first", first_part),
    )


def _unmarked(cell: Callable[[], Sample]) -> Measure:
    return lambda _: cell()


def _groups(number: int) -> str:
    return f"{number:,} group{'s' * (number != 1)}"
